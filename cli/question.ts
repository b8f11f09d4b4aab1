import { readFileSync } from "node:fs";
import { asRoot } from "../machine/as-root.ts";
import { quoted } from "../machine/quoted.ts";

/** The questions, each a script of that name in cli/questions; its first lines say what it answers. */
export type QuestionName = "status" | "build" | "fetch" | "doctor" | "look";

/** A non-interactive login may have a bare PATH; on NixOS the system's programs are here (machine/helper/main.sh). */
const preamble =
  "PATH=/run/current-system/sw/bin:/run/wrappers/bin:$PATH LC_ALL=C; export PATH LC_ALL\n";

/** The script of a question, for the stdin of `questionCommand`. */
export function question(name: QuestionName): string {
  const file = new URL(`questions/${name}.sh`, import.meta.url);
  return preamble + readFileSync(file, "utf8");
}

/**
 * The shell command that answers a question, as root.
 * @param words the script's arguments; nothing secret
 * @param user who logs in
 */
export function questionCommand(words: readonly string[], user?: string): string {
  return asRoot(["sh", "-s", "--", ...words.map(quoted)].join(" "), user);
}
