// `npm test [-- VITEST-ARGS…]`: types, lint, shell, then the tests on real hosts.
import { execa } from "execa";
import { meetRequirements } from "../dev/lab/requirements.ts";
import { consoleReport } from "../dev/tools/report.ts";
import { toolchain } from "../dev/tools/toolchain.ts";
import { agentScript } from "../machine/agent.ts";

const report = consoleReport();

/** What must hold before a test is worth its time; each prints what it finds. */
const checks: [what: string, command: string, args: string[]][] = [
  ["types", "tsc", []],
  ["lint and format", "biome", ["ci", "--error-on-warnings"]],
  ["shell", "shellcheck", await shellScripts()],
  ["the machines' helper", "shellcheck", ["-"]],
];

try {
  await meetRequirements(report, { shellcheck: "shellcheck" });
  for (const [what, command, args] of checks) {
    report(`Checking ${what}`);
    await execa(command, args, {
      preferLocal: true,
      input: agentScript(),
      stdout: "inherit",
      stderr: "inherit",
    });
  }
  // Here, where its progress is seen; the tests find it done.
  await toolchain(report);
  report("Testing");
  await execa("vitest", ["run", ...process.argv.slice(2)], { preferLocal: true, stdio: "inherit" });
} catch (error) {
  // What failed has said why; only our own messages are left to say.
  const said = error instanceof Error && "exitCode" in error;
  console.error(said ? `\n${error.message.split("\n")[0]}` : `\n${(error as Error).message}`);
  process.exitCode = 1;
}

/** All shell scripts that git knows: by their name, or by their first line. */
async function shellScripts(): Promise<string[]> {
  const { stdout } = await execa("git", [
    "grep",
    "--cached",
    "-lE",
    "^#!/bin/(ba)?sh|^# shellcheck shell=",
  ]);
  return stdout.split("\n").filter((file) => !/\.(ts|md|nix)$/.test(file));
}
