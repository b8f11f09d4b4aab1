#!/usr/bin/env node
// `nixos-cache`: what people ask about their cache, beside what Pulumi does.
import { Command, InvalidArgumentError } from "commander";
import { ConfigError } from "../config/config-error.ts";
import { doctor } from "./commands/doctor.ts";
import { type InitOptions, init } from "./commands/init.ts";
import { status } from "./commands/status.ts";
import { tryIt } from "./commands/try.ts";
import { PulumiError } from "./pulumi.ts";

const program = new Command("nixos-cache")
  .description("A private NixOS binary cache over SSH: how it stands, and what to do about it.")
  .addHelpText(
    "after",
    "\nRun it where you run pulumi: it acts on the stack that is selected there. `pulumi up` makes the changes.",
  )
  .showHelpAfterError();

program
  .command("init")
  .description("look at the machines by your own ssh, and write the project and the stack file")
  .option(
    "--server <machine>",
    "a machine that serves: [NAME=][USER@]HOST[:PORT]; may be repeated",
    collect,
    [],
  )
  .option("--client <machine>", "a machine that fetches; may be repeated", collect, [])
  .option("--stack <name>", "name of the new stack", stackName, "home")
  .option(
    "--identity <file>",
    "the private key that Pulumi logs in with; by default the SSH agent's",
  )
  .option("--ssh-config <file>", "another configuration for your ssh (ssh -F)")
  .option("--yes", "write without asking")
  .action((options: InitOptions) => init(options));

program
  .command("doctor")
  .description("everything that is wrong, and what to do about it; exit status 0 if nothing is")
  .option("--json", "for programs: one line of JSON")
  .action(async (options: { json?: boolean }) => {
    if (!(await doctor(options))) process.exitCode = 1;
  });

program
  .command("status")
  .description(
    "how each machine stands: drift, ages of keys, what was fetched from where, the store",
  )
  .option("--json", "for programs: one line of JSON")
  .option("--watch [seconds]", "look again and again, until Ctrl-C", seconds)
  .action((options: { json?: boolean; watch?: number | true }) =>
    status({
      ...(options.json ? { json: true } : {}),
      ...(options.watch === undefined ? {} : { watch: options.watch === true ? 5 : options.watch }),
    }),
  );

program
  .command("try")
  .description("build a new path on each server, and fetch it on each of its clients")
  .action(tryIt);

try {
  await program.parseAsync();
} catch (error) {
  console.error(inWords(error as Error));
  process.exitCode = 1;
}

function collect(text: string, before: string[]): string[] {
  return [...before, text];
}

/** As Pulumi takes it, and a file's name has it. */
function stackName(text: string): string {
  if (!/^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$/.test(text)) {
    throw new InvalidArgumentError("Write letters, digits, -, _ and dots, like home.");
  }
  return text;
}

function seconds(text: string): number {
  const number = Number(text);
  if (!/^[0-9]{1,5}$/.test(text) || number < 1) {
    throw new InvalidArgumentError("Write a whole number of seconds, like 5.");
  }
  return number;
}

function inWords(error: Error): string {
  // Ctrl-C at a question of `init`, all of which come before it writes.
  if (error.name === "ExitPromptError") return "Nothing was written.";
  if (error instanceof ConfigError) {
    return `The stack's settings need a change:\n${error.message}`;
  }
  return error instanceof PulumiError
    ? `${error.message}\n\`nixos-cache doctor\` says more.`
    : error.message;
}
