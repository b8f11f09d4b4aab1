import type { Evaluations } from "./evaluations.ts";
import type { Renewal } from "./tool.ts";

/** What is measured, in this order. */
export const cases = [
  { name: "first up", change: "first" },
  { name: "no change", change: "none" },
  { name: "new SSH keys", change: "SSH" },
  { name: "new signing key", change: "signing" },
  { name: "all keys", change: "all" },
  { name: "destroy", change: "destroy" },
] as const satisfies { name: string; change: Renewal | "first" | "none" | "destroy" }[];

export type Case = (typeof cases)[number];

/** One run of one case with one tool. */
export interface Measurement {
  clients: number;
  /** What each evaluation took more than the lab's own, in seconds. */
  slowerBy: number;
  tool: string;
  case: Case["name"];
  run: number;
  /** Wall time. */
  seconds: number;
  rebuilds: Evaluations;
  /** The names of the signing keys by which the clients then accepted a path; none after a destroy. */
  signedBy: string[];
  /** The computer's load average of one minute, just before. */
  load: number;
}

/** All that a run of the bench has found, as it writes it to a file. */
export interface BenchResults {
  computer: { processors: number; date: string };
  measurements: Measurement[];
  stackSizes: { clients: number; resources: number; bytes: number }[];
}

/**
 * A table for people, one row a case: medians in seconds, how ours compare with each peer's, and how often the server
 * and each client were rebuilt.
 */
export function table(
  measurements: readonly Measurement[],
): Record<string, Record<string, number | string>> {
  const tools = [...new Set(measurements.map(({ tool }) => tool))];
  const [ours, ...peers] = tools;
  const rows: Record<string, Record<string, number | string>> = {};
  for (const { name } of cases) {
    const of = (tool: string | undefined) =>
      measurements.filter((it) => it.tool === tool && it.case === name);
    // Where the bench was stopped.
    if (tools.some((tool) => of(tool).length === 0)) continue;
    const time = (tool: string | undefined) => median(of(tool).map(({ seconds }) => seconds));
    const row: Record<string, number | string> = {};
    for (const tool of tools) row[tool] = round(time(tool), 1);
    for (const peer of peers) row[`${ours} / ${peer}`] = round(time(ours) / time(peer), 2);
    for (const tool of tools) row[`rebuilds, ${tool}`] = rebuilds(of(tool));
    rows[name] = row;
  }
  return rows;
}

/** `server / clients`, each as one number or as the range over all runs and clients. */
function rebuilds(runs: readonly Measurement[]): string {
  const server = range(runs.map((run) => run.rebuilds.server));
  const clients = range(runs.flatMap((run) => run.rebuilds.clients));
  return `${server} / ${clients}`;
}

function range(values: number[]): string {
  const [least, most] = [Math.min(...values), Math.max(...values)];
  return least === most ? `${least}` : `${least} to ${most}`;
}

export function median(values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const [upper = Number.NaN, lower = upper] = [sorted[middle], sorted[middle - 1]];
  return sorted.length % 2 === 1 ? upper : (lower + upper) / 2;
}

function round(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}
