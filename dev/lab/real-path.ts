import { realpathSync } from "node:fs";
import { basename, dirname, join } from "node:path";

/** Resolves links also for a folder that does not exist yet. */
export function realPath(path: string): string {
  try {
    return realpathSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    return join(realPath(dirname(path)), basename(path));
  }
}
