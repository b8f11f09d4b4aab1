// `npm test [-- VITEST-ARGS…]`: types, lint, shell, then the tests on real hosts.
// `npm test -- --changed[=COMMIT]`: of the tests those that a change since COMMIT, by default HEAD, touches most.
import { execa } from "execa";
import { meetRequirements } from "../dev/lab/requirements.ts";
import { consoleReport } from "../dev/tools/report.ts";
import { toolchain } from "../dev/tools/toolchain.ts";
import { helperFiles } from "../machine/helper.ts";
import { changedSince, checkoutFiles } from "./changed-files.ts";
import { lastDurations } from "./last-durations.ts";
import { affordable, touchedTests } from "./touched-tests.ts";

const report = consoleReport();

/**
 * The helper's parts as the one program that they are; main.sh comes last. Its functions are called by names that
 * shellcheck does not follow, some by a trap (SC2317), and it names its parts by a variable (SC1091).
 */
const parts = helperFiles.filter(({ path }) => path.startsWith("steps/"));
const main = (path: string) => Number(path === "steps/main.sh");
const helper = [
  "#!/bin/sh",
  ...parts
    .toSorted((a, b) => main(a.path) - main(b.path))
    .map(({ text }) => text.replace(/^#!.*/, "")),
].join("\n");

/** What must hold before a test is worth its time; each prints what it finds. */
const checks: [what: string, command: string, args: string[]][] = [
  ["types", "tsc", []],
  ["lint and format", "biome", ["ci", "--error-on-warnings"]],
  ["shell", "shellcheck", await shellScripts()],
  ["the machines' helper", "shellcheck", ["--exclude=SC1091,SC2317", "-"]],
];

try {
  await meetRequirements(report, { shellcheck: "shellcheck" });
  for (const [what, command, args] of checks) {
    report(`Checking ${what}`);
    await execa(command, args, {
      preferLocal: true,
      input: helper,
      stdout: "inherit",
      stderr: "inherit",
    });
  }
  // Here, where its progress is seen; the tests find it done.
  await toolchain(report);
  const args = await vitestArgs(process.argv.slice(2));
  if (args !== undefined) {
    report("Testing");
    await execa("vitest", ["run", ...args], { preferLocal: true, stdio: "inherit" });
  }
} catch (error) {
  // What failed has said why; only our own messages are left to say.
  const said = error instanceof Error && "exitCode" in error;
  console.error(said ? `\n${error.message.split("\n")[0]}` : `\n${(error as Error).message}`);
  process.exitCode = 1;
}

/** What Vitest is asked for; undefined, no test. Says of a change what is run and what is left out. */
async function vitestArgs(given: string[]): Promise<string[] | undefined> {
  const changed = given.find((arg) => /^--changed(=|$)/.test(arg));
  if (changed === undefined) return given;
  const commit = changed.split("=")[1] || "HEAD";
  const { tests, unknown } = touchedTests(await checkoutFiles(), await changedSince(commit));
  const seconds = await lastDurations();
  // About a minute, with two processors.
  const { run, leftOut } = affordable(tests, (file) => seconds.get(file), 120);
  const list = (files: string[]) => files.map((file) => `\n  ${file}`).join("");
  report(
    `Changed since ${commit}. Of ${tests.length} test files that this touches, run:${list(run)}`,
  );
  if (leftOut.length > 0) report(`Left out, for \`npm test\`:${list(leftOut)}`);
  if (unknown.length > 0) report(`Changed, and no test leads to it:${list(unknown)}`);
  return run.length === 0 ? undefined : [...run, ...given.filter((arg) => arg !== changed)];
}

/** All shell scripts that git knows: by their name, or by their first line. */
async function shellScripts(): Promise<string[]> {
  const { stdout } = await execa("git", [
    "grep",
    "--cached",
    "-lE",
    "^#!/bin/(ba)?sh|^# shellcheck shell=",
  ]);
  // The helper's parts are one program, and checked as one.
  return stdout
    .split("\n")
    .filter((file) => !/\.(ts|md|nix)$/.test(file) && !file.startsWith("machine/helper/"));
}
