import { readFileSync } from "node:fs";
import { asRoot, sudoExplained } from "../machine/as-root.ts";
import { plainWords } from "../machine/plain-words.ts";
import { quoted } from "../machine/quoted.ts";
import { runOverSsh } from "../machine/run-over-ssh.ts";
import type { SshAddress } from "../machine/ssh-connection.ts";
import type { SshLogin } from "../machine/ssh-login.ts";
import { Answer } from "./answer.ts";

/** The questions, each a script of that name in cli/questions; its first lines say what it answers. */
export type QuestionName = "status" | "build" | "fetch" | "doctor" | "look";

/** A non-interactive login may have a bare PATH; on NixOS the system's programs are here (machine/helper/main.sh). */
const preamble =
  "PATH=/run/current-system/sw/bin:/run/wrappers/bin:$PATH LC_ALL=C; export PATH LC_ALL\n";

/** The script of a question, for the stdin of `sh -s`. */
export function question(name: QuestionName): string {
  const file = new URL(`questions/${name}.sh`, import.meta.url);
  return preamble + readFileSync(file, "utf8");
}

/**
 * Asks a machine a question as root, over a connection of its own.
 * @param words the script's arguments; nothing secret
 * @param seconds until all is answered
 * @throws Error in words for a person: no connection, no login, no answer
 */
export async function ask(
  name: QuestionName,
  machine: SshAddress,
  login: SshLogin,
  words: readonly string[] = [],
  seconds = 30,
): Promise<Answer> {
  const command = asRoot(["sh", "-s", "--", ...words.map(quoted)].join(" "), machine.user);
  const { status, stdout, stderr } = await runOverSsh(machine, login, command, {
    stdin: question(name),
    seconds,
  });
  if (status !== 0) {
    const said = plainWords(sudoExplained(stderr, machine.user));
    throw new Error(`the question ended with exit status ${status}: ${said}`);
  }
  return new Answer(stdout);
}
