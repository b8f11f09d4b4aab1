import { sudoExplained } from "../machine/as-root.ts";
import { plainWords } from "../machine/plain-words.ts";
import { runOverSsh } from "../machine/run-over-ssh.ts";
import type { JumpHosts, SshAddress } from "../machine/ssh-connection.ts";
import type { SshLogin } from "../machine/ssh-login.ts";
import { Answer } from "./answer.ts";
import { type QuestionName, question, questionCommand } from "./question.ts";

export interface AskOptions {
  /** The script's arguments; nothing secret. */
  words?: readonly string[];
  /** Until all is answered. @default 30 */
  seconds?: number;
  /** Connections to jump hosts, to share with others. @default its own */
  jumpHosts?: JumpHosts;
}

/**
 * Asks a machine a question as root, over a connection of its own.
 * @throws Error in words for a person: no connection, no login, no answer
 */
export async function ask(
  name: QuestionName,
  machine: SshAddress,
  login: SshLogin,
  { words = [], seconds = 30, jumpHosts }: AskOptions = {},
): Promise<Answer> {
  const command = questionCommand(words, machine.user);
  const { status, stdout, stderr } = await runOverSsh(machine, login, command, {
    stdin: question(name),
    seconds,
    jumpHosts,
  });
  if (status !== 0) {
    const said = plainWords(sudoExplained(stderr, machine.user));
    throw new Error(`the question ended with exit status ${status}: ${said}`);
  }
  return new Answer(stdout);
}
