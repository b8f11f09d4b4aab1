// `node dev/bench/offline.ts`: what it costs a client that its cache is off, and how soon it fetches again.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildNewPath } from "../lab/demonstration.ts";
import { Lab } from "../lab/lab.ts";
import { LabStack } from "../lab/stack.ts";
import { until } from "../lab/until.ts";
import { consoleReport } from "../tools/report.ts";
import { toolchain } from "../tools/toolchain.ts";

const runs = 3;
const count = 50;
const report = consoleReport();
const tools = await toolchain(report);
const lab = new Lab(await mkdtemp(join(tmpdir(), "nixos-cache-")));
/** Seconds. */
const rows: Record<string, { median: number; longest: number }> = {};
try {
  await lab.up(() => {});
  const stack = new LabStack(lab, tools);
  await stack.init();
  await stack.run(["up", "--yes", "--skip-preview"]);

  await lab.powerOff("kalaw");
  await measure(`${count} unknown paths, kalaw off`, async () => {
    await on("pai", "rm -f /run/nixos-cache/*.unreachable");
    return seconds(() => unknownPaths());
  });
  await measure(`${count} more, within half a minute`, () => seconds(() => unknownPaths()));
  await measure("a build on pai, kalaw off", () => seconds(() => buildNewPath(lab, "pai")));
  await lab.powerOn("kalaw");

  // At its worst: pai has met with no answer just before kalaw answers.
  await measure("fetching again, from when kalaw answers", async () => {
    const path = await buildNewPath(lab, "kalaw");
    await lab.powerOff("kalaw");
    await on("pai", "rm -f /run/nixos-cache/*.unreachable");
    await unknownPaths();
    await lab.powerOn("kalaw");
    return seconds(() =>
      until(async () => (await on("pai", `nix-store --realise ${path}`)).code === 0, {
        seconds: 120,
        otherwise: "pai does not fetch again",
      }),
    );
  });
  console.table(rows);
} finally {
  await lab.down(() => {});
  await rm(lab.folder, { recursive: true, force: true });
}

function on(host: string, script: string) {
  return lab.exec(host, ["sh", "-c", script]);
}

/** Asks pai for store paths that nobody has, and that nobody has asked for yet. */
async function unknownPaths(): Promise<void> {
  const first = process.hrtime.bigint();
  const paths = Array.from(
    { length: count },
    (_, i) => `/nix/store/${String(first + BigInt(i)).padStart(32, "0")}-unknown`,
  );
  const { code } = await on("pai", `nix-store --realise ${paths.join(" ")}`);
  if (code === 0) throw new Error("pai has paths that nobody has");
}

async function measure(what: string, once: () => Promise<number>): Promise<void> {
  report(what);
  const times: number[] = [];
  for (let i = 0; i < runs; i++) times.push(await once());
  times.sort((a, b) => a - b);
  rows[what] = {
    median: times[Math.floor(runs / 2)] ?? Number.NaN,
    longest: times.at(-1) ?? Number.NaN,
  };
}

async function seconds(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return Math.round((performance.now() - start) / 10) / 100;
}
