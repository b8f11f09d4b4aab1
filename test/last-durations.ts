import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { vitestCache } from "./vitest-cache.ts";

/** How many seconds each test file took when it last ran as a whole, as Vitest remembers it. */
export async function lastDurations(): Promise<Map<string, number>> {
  const seconds = new Map<string, number>();
  for (const name of await readdir(vitestCache, { recursive: true }).catch(() => []))
    if (name.endsWith("results.json"))
      for (const [file, { duration }] of results(await readFile(join(vitestCache, name), "utf8")))
        seconds.set(file, (duration ?? 0) / 1000);
  return seconds;
}

/** Vitest's own format, which may change: then nothing is remembered. */
function results(text: string): [file: string, { duration?: number }][] {
  try {
    const { projects } = JSON.parse(text) as { projects?: Record<string, { files?: object }> };
    return Object.values(projects ?? {}).flatMap(({ files }) => Object.entries(files ?? {}));
  } catch {
    return [];
  }
}
