import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { Lab } from "../../dev/lab/lab.ts";
import type { LabHost } from "../../dev/lab/lab-host.ts";

/** A lab in a folder of its own under the temporary folder. */
export async function throwawayLab(hosts?: readonly (string | LabHost)[]): Promise<Lab> {
  // The name has all that a shell, mount or ssh could trip over.
  const parent = await mkdtemp(join(tmpdir(), "lab %h, it's: "));
  return new Lab(join(parent, "lab"), hosts);
}

/** Ends the lab and removes its folder's parent, which must be all that is left. */
export async function throwAway(lab: Lab): Promise<void> {
  await lab.down(() => {});
  await rm(join(lab.folder, ".."), { recursive: true });
}

/** All that this computer has of the lab: mounts, control groups, processes. */
export async function tracesOf(lab: Lab): Promise<string[]> {
  // As /proc writes a path with spaces.
  const folder = lab.folder.replaceAll(" ", "\\040");
  const mounts = (await readFile("/proc/self/mountinfo", "utf8"))
    .split("\n")
    .filter((line) => line.includes(folder));
  const { stdout } = await execa("find", ["/sys/fs/cgroup", "-type", "d", "-name", `*${lab.id}*`]);
  const processes: string[] = [];
  for (const pid of (await readdir("/proc")).filter((name) => /^\d+$/.test(name))) {
    // One that ends meanwhile is no trace.
    const line = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
    if (line.includes(lab.folder) || line.includes(lab.id)) processes.push(line);
  }
  return [...mounts, ...stdout.split("\n").filter(Boolean), ...processes];
}
