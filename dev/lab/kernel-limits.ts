import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Report } from "../tools/report.ts";

/**
 * What the kernel counts for all hosts together, because to it their roots are one user and their networks one
 * table; enough for a hundred hosts. A host takes nine inotify instances, and 128 is the kernel's own limit.
 */
const enough: Record<string, number> = {
  "fs.inotify.max_user_instances": 2048,
  "fs.inotify.max_user_watches": 65_536,
  // Who has talked to whom: at most all to all.
  "net.ipv4.neigh.default.gc_thresh3": 16_384,
  "net.ipv6.neigh.default.gc_thresh3": 16_384,
};

/**
 * Raises those of this computer's limits that are lower, until it restarts.
 * @param folder where the kernel shows its settings
 */
export async function raiseKernelLimits(report: Report, folder = "/proc/sys"): Promise<void> {
  for (const [name, least] of Object.entries(enough)) {
    const file = join(folder, ...name.split("."));
    const text = await readFile(file, "utf8").catch(() => undefined);
    // Without IPv6, for one, there is no such limit.
    if (text === undefined || Number(text) >= least) continue;
    const change = `the kernel's limit ${name} from ${Number(text)} to ${least}`;
    try {
      await writeFile(file, `${least}\n`);
      report(`Raised ${change}, until this computer restarts`);
    } catch {
      report(`Cannot raise ${change}: a lab with many hosts may not come up`);
    }
  }
}
