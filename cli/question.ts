import { readFileSync } from "node:fs";
import { asRoot } from "../machine/as-root.ts";
import { quoted } from "../machine/quoted.ts";

/** The questions, each a script of that name in cli/questions; its first lines say what it answers. */
export type QuestionName = "status" | "build" | "fetch" | "doctor" | "look";

/** The script of a question, after what all of them begin with, for the stdin of `questionCommand`. */
export function question(name: QuestionName): string {
  return script("preamble") + script(name);
}

const script = (name: QuestionName | "preamble") =>
  readFileSync(new URL(`questions/${name}.sh`, import.meta.url), "utf8");

/**
 * The shell command that answers a question, as root.
 * @param words the script's arguments; nothing secret
 * @param user who logs in
 */
export function questionCommand(words: readonly string[], user?: string): string {
  return asRoot(["sh", "-s", "--", ...words.map(quoted)].join(" "), user);
}
