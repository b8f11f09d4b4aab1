// `node dev/bench/deploy.ts`: how long our program takes, beside what a user would do instead, on the same hosts.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { availableParallelism, loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { Command, InvalidArgumentError, Option } from "commander";
import { Lab } from "../lab/lab.ts";
import { consoleReport } from "../tools/report.ts";
import { toolchain } from "../tools/toolchain.ts";
import { countEvaluations } from "./evaluations.ts";
import { fetchOnAll } from "./fetch-on-all.ts";
import { HostsAsBefore } from "./hosts-as-before.ts";
import { type Case, cases, type Measurement, table } from "./measurement.ts";
import { OurProgram, type StackSize } from "./our-program.ts";
import { Ansible } from "./peers/ansible.ts";
import { ansiblePlaybook } from "./peers/ansible-in-venv.ts";
import { ByHand } from "./peers/by-hand.ts";
import type { Tool } from "./tool.ts";

const known = ["ours", "by-hand", "ansible"];

const { clients, runs, slowEvaluation, tools, json } = new Command("node dev/bench/deploy.ts")
  .description("How long our program takes, beside what a user would do instead.")
  .addOption(
    new Option("--clients <numbers>", "how many clients the server has")
      .argParser(numbers)
      .default([1, 10, 30], "1,10,30"),
  )
  .option("--runs <number>", "how often each case is run; the tables show medians", count, 3)
  .option(
    "--slow-evaluation <seconds>",
    "all again, with evaluations that take so much longer; 0: not again",
    seconds,
    10,
  )
  .addOption(
    new Option("--tools <names>", "what to compare")
      .argParser(names)
      .default(known, known.join(",")),
  )
  .option("--json <file>", "write all raw values there, after each case")
  .allowExcessArguments(false)
  .parse()
  .opts<{
    clients: number[];
    runs: number;
    slowEvaluation: number;
    tools: string[];
    json?: string;
  }>();

const report = consoleReport();
const measurements: Measurement[] = [];
const stackSizes: ({ clients: number } & StackSize)[] = [];

// What Ctrl-C ends is the command that runs; the bench then takes its hosts down.
let stopped = false;
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.on(signal, () => {
    stopped = true;
  });
}

try {
  const pulumi = await toolchain(report);
  const playbook = tools.includes("ansible") ? await ansiblePlaybook(report) : [];
  for (const number of clients) {
    if (stopped) break;
    report(`kalaw and ${number} client${number === 1 ? "" : "s"}`);
    const names = Array.from({ length: number }, (_, i) => `c${i + 1}`);
    const lab = new Lab(await mkdtemp(join(tmpdir(), "nixos-cache-")), ["kalaw", ...names]);
    try {
      await compare(lab, number, {
        ours: new OurProgram(lab, pulumi),
        "by-hand": new ByHand(lab, pulumi),
        ansible: new Ansible(lab, playbook),
      });
    } catch (error) {
      // What is measured already counts, and so does what comes with the next number.
      fail(error);
    } finally {
      await lab.down(() => {});
      await rm(lab.folder, { recursive: true, force: true });
    }
  }
} catch (error) {
  fail(error);
}
printTables();

function fail(error: unknown): void {
  console.error(`\n${stopped ? "Stopped." : error instanceof Error ? error.message : error}`);
  process.exitCode = 1;
}

/** Measures all on a new lab. The tools take turns, so that other work on this computer meets all of them. */
async function compare(
  lab: Lab,
  number: number,
  all: Record<string, Tool> & { ours: OurProgram },
): Promise<void> {
  await lab.up(() => {});
  const hosts = new HostsAsBefore(lab);
  await hosts.note();
  const compared = Object.entries(all).flatMap(([name, tool]) =>
    tools.includes(name) ? [tool] : [],
  );
  for (const tool of compared) await tool.init();
  for (const slowerBy of new Set([0, slowEvaluation])) {
    await hosts.slowDown(slowerBy);
    for (let run = 1; run <= runs; run++) {
      for (const tool of compared) {
        for (const it of cases) {
          measurements.push({
            ...{ clients: number, slowerBy, tool: tool.name, case: it.name, run },
            ...(await measure(lab, tool, it)),
          });
          if (tool === all.ours && it.name === "all keys") {
            stackSizes.push({ clients: number, ...(await all.ours.size()) });
          }
          await writeJson();
        }
        await hosts.restore(tool.name);
      }
    }
  }
}

/** Runs a case and sees that it did what it should. Only the tool's own command is timed. */
async function measure(lab: Lab, tool: Tool, { name, change }: Case) {
  if (stopped) throw new Error("stopped");
  if (change === "SSH" || change === "signing" || change === "all") await tool.renew(change);
  const load = loadavg()[0] ?? Number.NaN;
  let seconds = Number.NaN;
  const rebuilds = await countEvaluations(lab, async () => {
    const start = performance.now();
    await (change === "destroy" ? tool.destroy() : tool.deploy());
    seconds = (performance.now() - start) / 1000;
  });
  await tool.rest?.();
  report(`  ${tool.name}, ${name}: ${seconds.toFixed(1)} s`);
  const signedBy = change === "destroy" ? [] : await fetchOnAll(lab);
  return { seconds, rebuilds, signedBy, load };
}

async function writeJson(): Promise<void> {
  if (json === undefined) return;
  const computer = { processors: availableParallelism(), date: new Date().toISOString() };
  await writeFile(json, `${JSON.stringify({ computer, measurements, stackSizes }, null, 2)}\n`);
}

function printTables(): void {
  for (const number of clients) {
    for (const slowerBy of new Set([0, slowEvaluation])) {
      const these = measurements.filter((it) => it.clients === number && it.slowerBy === slowerBy);
      if (these.length === 0) continue;
      const evaluation =
        slowerBy === 0 ? "the lab's own evaluation" : `${slowerBy} s more for each evaluation`;
      console.log(
        `\n${number} client${number === 1 ? "" : "s"}, ${evaluation}: seconds, medians of ${runs}; rebuilds: server / each client`,
      );
      console.table(table(these));
    }
    const size = stackSizes.findLast((it) => it.clients === number);
    if (size === undefined) continue;
    const { resources, bytes } = size;
    const each = Math.round(bytes / (number + 1));
    console.log(
      `Our stack: ${resources} resources, ${bytes} bytes of state, ${each} for each machine`,
    );
  }
}

function numbers(text: string): number[] {
  return text.split(",").map(count);
}

function count(text: string): number {
  if (!/^[1-9]\d*$/.test(text))
    throw new InvalidArgumentError("It must be a whole number above 0.");
  return Number(text);
}

function seconds(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError("It must be a whole number of seconds.");
  return Number(text);
}

function names(text: string): string[] {
  const chosen = text.split(",");
  if (!chosen.every((name) => known.includes(name))) {
    throw new InvalidArgumentError(`It must be some of ${known.join(",")}.`);
  }
  return chosen;
}
