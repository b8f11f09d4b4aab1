#!/usr/bin/env node
// `nixos-cache`: what people ask about their cache, beside what Pulumi does.
import { Command, InvalidArgumentError } from "commander";
import { ConfigError } from "../config/config-error.ts";
import { doctor } from "./commands/doctor.ts";
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
