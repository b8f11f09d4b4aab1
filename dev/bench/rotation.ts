// `node dev/bench/rotation.ts`: how long a rotation takes, beside the machines' own rebuilds in it.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Lab } from "../lab/lab.ts";
import { LabStack } from "../lab/stack.ts";
import { consoleReport } from "../tools/report.ts";
import { toolchain } from "../tools/toolchain.ts";

/** Seconds, each the median of `runs`. */
interface Row {
  clients: number;
  rotation: string;
  up: number;
  "kalaw's rebuild": number;
  "clients' rebuilds": number;
  "up without change": number;
  /** All but the machines' own rebuilds. */
  ours: number;
  /** The same, but for what an update without changes takes: what the rotation itself adds. */
  "ours beyond that": number;
}

const runs = 3;
const report = consoleReport();
const tools = await toolchain(report);
const rows: Row[] = [];
for (const count of [1, 10]) rows.push(...(await bench(count)));
console.table(rows);

async function bench(count: number): Promise<Row[]> {
  const clients = Array.from({ length: count }, (_, i) => `c${i + 1}`);
  const lab = new Lab(await mkdtemp(join(tmpdir(), "nixos-cache-")), ["kalaw", ...clients]);
  try {
    report(`kalaw and ${count} client${count === 1 ? "" : "s"}`);
    await lab.up(() => {});
    const stack = new LabStack(lab, tools);
    await stack.init();
    const up = () => seconds(() => stack.run(["up", "--yes", "--skip-preview"]));
    await up();

    const idle = await median(up);
    const server = await median(() => rebuild(lab, "kalaw"));
    const fetching = await median(() => seconds(() => rebuildAll(lab, clients)));

    const ssh = await median(async (run) => {
      for (const client of clients) {
        await set(stack, `clients.${client}.rotation`, `bench ${run}`);
      }
      return up();
    });
    const all = await median(async (run) => {
      await set(stack, "rotation", `bench ${run}`);
      return up();
    });
    const row = (rotation: string, wall: number, clientsToo: number): Row => ({
      clients: count,
      rotation,
      up: wall,
      "kalaw's rebuild": server,
      "clients' rebuilds": clientsToo,
      "up without change": idle,
      ours: round(wall - server - clientsToo),
      "ours beyond that": round(wall - server - clientsToo - idle),
    });
    return [row("SSH keys", ssh, 0), row("all keys", all, fetching)];
  } finally {
    await lab.down(() => {});
    await rm(lab.folder, { recursive: true, force: true });
  }
}

function set(stack: LabStack, setting: string, value: string) {
  return stack.run(["config", "set", "--path", `nixos-cache:${setting}`, value]);
}

/** The clients are rebuilt side by side, as in an update. */
async function rebuildAll(lab: Lab, clients: string[]): Promise<void> {
  await Promise.all(clients.map((client) => rebuild(lab, client)));
}

/** What a rebuild by hand takes on a host whose settings have changed as in a rotation; undone at the next call. */
async function rebuild(lab: Lab, host: string): Promise<number> {
  const change =
    host === "kalaw"
      ? "git rm -q --cached --ignore-unmatch nixos-cache/authorized/bench.pub; " +
        'echo "ssh-ed25519 AAAA $(date +%s%N)" >nixos-cache/authorized/bench.pub; ' +
        "git add --intent-to-add nixos-cache"
      : 'sed -i "s/\\"priority\\": .*/\\"priority\\": $(date +%N | sed s/^0*//)/" nixos-cache/client.json';
  await run(lab, host, `cd /etc/nixos && ${change}`);
  const took = await seconds(() =>
    run(
      lab,
      host,
      `cd "$(mktemp -d)" && nixos-rebuild build && system=$(readlink -f result) &&
       nix-env --profile /nix/var/nix/profiles/system --set "$system" &&
       "$system/bin/switch-to-configuration" switch`,
    ),
  );
  return took;
}

async function run(lab: Lab, host: string, script: string): Promise<void> {
  const { code, stderr } = await lab.exec(host, ["sh", "-c", script]);
  if (code !== 0) throw new Error(`${host}: ${script} failed:\n${stderr}`);
}

async function seconds(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return round((performance.now() - start) / 1000);
}

async function median(measure: (run: number) => Promise<number>): Promise<number> {
  const times: number[] = [];
  for (let i = 0; i < runs; i++) times.push(await measure(i));
  return times.sort((a, b) => a - b)[Math.floor(runs / 2)] ?? Number.NaN;
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
