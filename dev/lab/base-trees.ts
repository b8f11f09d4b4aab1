import { existsSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { Report } from "../tools/report.ts";
import { baseTree } from "./base-tree.ts";
import type { Host } from "./host.ts";
import type { Suite } from "./suite.ts";

/** The newest tree of each suite that a host is made from. */
export async function baseTrees(
  suites: ReadonlySet<Suite>,
  lab: { id: string; folder: string },
  report: Report,
): Promise<Map<Suite, string>> {
  const trees = new Map<Suite, string>();
  for (const suite of suites) trees.set(suite, await baseTree(suite, lab, report));
  return trees;
}

/** Hosts cannot run without the base tree that they are overlays of: the lab begins anew. */
export async function dropOrphans(
  hosts: readonly Host[],
  { folder }: { folder: string },
  report: Report,
): Promise<void> {
  const trees = await Promise.all(hosts.map((host) => host.baseTree()));
  if (trees.every((tree) => tree === undefined || existsSync(tree))) return;
  report("The base tree of the hosts was deleted from the cache: all are made anew");
  for (const host of hosts) await host.remove();
  await rm(join(folder, "stack"), { recursive: true, force: true });
}
