import { existsSync } from "node:fs";
import { join } from "node:path";
import { Command } from "commander";
import { vi } from "vitest";
import { checkout } from "../../../dev/tools/checkout.ts";
import type { Page } from "./page.ts";

/** The commands of a page, each as its words: lines of shell blocks, what follows the prompts of sessions, and code in the text. */
export function commandsIn({ blocks, spans }: Page): string[][] {
  const lines = blocks.flatMap(({ language, text }) => {
    if (language === "sh") return text.split("\n");
    const prompt = /^(\w*[$#]) /;
    return language === "console"
      ? text.split("\n").flatMap((line) => (prompt.test(line) ? [line.replace(prompt, "")] : []))
      : [];
  });
  return [...lines, ...spans]
    .flatMap((line) => line.replace(/(^|\s)#\s.*$/, "").split(/&&|\|\||[|;()]/))
    .map((command) => command.trim().split(/\s+/).filter(isNoSetting))
    .filter(([program]) => program !== undefined && Object.hasOwn(programs, program));
}

/** Not a variable before the command. */
const isNoSetting = (word: string, index: number) => index > 0 || !/^[A-Z_]+=/.test(word);

/** What knows a command by its first word, and says what is wrong with the rest. */
const programs: Record<string, (words: string[], known: Known) => string | undefined> = {
  npm: checkNpm,
  npx: checkNpx,
  node: ([file = ""]) => (existsSync(join(checkout, file)) ? undefined : `there is no ${file}`),
  pulumi: checkPulumi,
  "nixos-cache": (words, { nixosCache }) => checkProgram(nixosCache, words),
};

/** What commands are checked against. */
export interface Known {
  /** Of package.json. */
  scripts: Set<string>;
  nixosCache: Command;
  lab: Command;
}

/** @returns what is wrong with a command; undefined, nothing */
export function mistakeIn([program = "", ...words]: string[], known: Known): string | undefined {
  return programs[program]?.(words, known);
}

/**
 * The program that a file of commander's declares, without running it.
 * @param load imports the file
 */
export async function declaredBy(load: () => Promise<unknown>): Promise<Command> {
  let declared: Command | undefined;
  const parse = vi.spyOn(Command.prototype, "parseAsync").mockImplementation(async function (
    this: Command,
  ) {
    declared = this;
    return this;
  });
  await load();
  parse.mockRestore();
  if (declared === undefined) throw new Error("it declares no program");
  return declared;
}

function checkNpm([first = "", ...rest]: string[], known: Known): string | undefined {
  if (["ci", "install", "pack"].includes(first)) return undefined;
  const [script = "", ...more] = first === "run" ? rest : [first, ...rest];
  if (!known.scripts.has(script)) return `package.json has no script ${script}`;
  const words = more[0] === "--" ? more.slice(1) : more;
  const isWhole = words.every((word) => !word.endsWith("…"));
  if (script === "pulumi" && isWhole) return checkPulumi(words);
  if (script === "lab" && isWhole && words[0] !== "COMMAND") return checkProgram(known.lab, words);
  if (script === "nixos-cache" && isWhole) return checkProgram(known.nixosCache, words);
  // A filter of tests is the beginning of a path.
  return script === "test"
    ? words
        .filter((word) => word.startsWith("test/"))
        .flatMap((word) =>
          [word, `${word}.test.ts`].some((path) => existsSync(join(checkout, path)))
            ? []
            : [`there is no ${word}`],
        )[0]
    : undefined;
}

function checkNpx([bin = "", ...words]: string[], known: Known): string | undefined {
  return bin === "nixos-cache"
    ? checkProgram(known.nixosCache, words)
    : `the package has no command ${bin}`;
}

function checkProgram(program: Command, words: string[]): string | undefined {
  const [name, ...rest] = words;
  if (name === undefined) return undefined;
  const command = program.commands.find((command) => command.name() === name);
  if (command === undefined) return `${program.name()} has no command ${name}`;
  const own = rest.includes("--") ? rest.slice(0, rest.indexOf("--")) : rest;
  const known = command.options.map(({ long }) => long);
  const odd = own.find((word) => word.startsWith("--") && !known.includes(word));
  return odd === undefined ? undefined : `${name} has no option ${odd}`;
}

/** Of Pulumi (3.259), the commands that the pages name, with the options of each that they may name. */
const pulumis: Record<string, string[]> = {
  up: ["--yes", "--skip-preview", "--continue-on-error", "--json", "--debug", "--logtostderr"],
  preview: ["--diff", "--expect-no-changes", "--json"],
  destroy: ["--yes"],
  refresh: ["--yes", "--clear-pending-creates"],
  cancel: ["--yes"],
  login: ["--local"],
  new: [],
  version: [],
  config: [],
  "config set": ["--secret", "--path"],
  stack: ["--show-urns"],
  "stack init": [],
  "stack rm": ["--yes"],
  "stack output": ["--json"],
  "stack export": ["--file", "--show-secrets"],
  "stack import": ["--file"],
  "stack ls": [],
  "stack change-secrets-provider": [],
  "plugin install": [],
  "package add": [],
  whoami: [],
};

function checkPulumi(words: string[]): string | undefined {
  if (words.length === 0) return undefined;
  const options = pulumis[words.slice(0, 2).join(" ")] ?? pulumis[words[0] ?? ""];
  if (options === undefined) return `pulumi has no command ${words.slice(0, 2).join(" ")}`;
  const odd = words.find((word) => word.startsWith("--") && !options.includes(word));
  return odd === undefined ? undefined : `pulumi ${words[0]} has no option ${odd}`;
}
