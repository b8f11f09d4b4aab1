import { mkdir, readdir, rename, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { lock } from "proper-lockfile";
import type { Report } from "./report.ts";

const stale = 15_000; // ms without a sign of life: its process was killed

/**
 * Makes folder `target`, whole or not at all, by one process at a time: `fill` works in a temporary
 * folder beside it, which is then renamed. Does nothing when another run has made it meanwhile.
 *
 * @param what - name of the thing for the line that says that another run is at it
 * @throws what `fill` throws; nothing is left behind then
 */
export async function place(
  target: string,
  what: string,
  report: Report,
  exists: () => boolean,
  fill: (folder: string) => Promise<void>,
): Promise<void> {
  await mkdir(dirname(target), { recursive: true });
  const release = await lockFolder(target, what, report);
  try {
    if (exists()) return;
    // Whatever else is there was left by a killed run: we hold the lock.
    const prefix = `.${basename(target)}.`;
    for (const name of await readdir(dirname(target))) {
      if (name.startsWith(prefix) && !name.endsWith(".lock")) {
        await rm(join(dirname(target), name), { recursive: true, force: true });
      }
    }
    const folder = join(dirname(target), `${prefix}${process.pid}`);
    try {
      await mkdir(folder);
      await fill(folder);
      await rm(target, { recursive: true, force: true });
      await rename(folder, target);
    } catch (error) {
      await rm(folder, { recursive: true, force: true });
      throw error;
    }
  } finally {
    await release();
  }
}

async function lockFolder(
  target: string,
  what: string,
  report: Report,
): Promise<() => Promise<void>> {
  const options = {
    realpath: false, // the target does not exist yet
    lockfilePath: join(dirname(target), `.${basename(target)}.lock`),
    stale,
    update: 3_000,
  };
  try {
    return await lock(target, options);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ELOCKED") throw error;
  }
  report(`${what}: waiting for another run that is at it`);
  const retries = { forever: true, minTimeout: 250, maxTimeout: 1_000 };
  return await lock(target, { ...options, retries });
}
