import { spawn } from "node:child_process";
import { stat } from "node:fs/promises";
import { createInterface } from "node:readline";
import type { Report } from "../tools/report.ts";

/**
 * Runs `work` while this process alone holds the lock on `folder`; others wait for their turn.
 * The kernel's lock, held by a child process that ends with this one, so a crash leaves none behind.
 */
export async function withLock<T>(
  folder: string,
  { report, waiting }: { report: Report; waiting: string },
  work: () => Promise<T>,
): Promise<T> {
  for (;;) {
    const release = await take(folder, () => report(waiting));
    if (release === undefined) continue;
    try {
      return await work();
    } finally {
      release();
    }
  }
}

const holder = `
exec 9<"$1"
flock --nonblock 9 || { echo busy; flock 9; }
stat --dereference --format=%d:%i /dev/fd/9
exec cat`;

/** @returns how to give the lock back; undefined if the folder was replaced while we waited. */
async function take(folder: string, onBusy: () => void): Promise<(() => void) | undefined> {
  const child = spawn("sh", ["-c", holder, "sh", folder], { stdio: ["pipe", "pipe", "inherit"] });
  const release = () => child.stdin.end();
  for await (const line of createInterface({ input: child.stdout })) {
    if (line === "busy") {
      onBusy();
      continue;
    }
    const now = await stat(folder).catch(() => undefined);
    if (now !== undefined && `${now.dev}:${now.ino}` === line) return release;
    release();
    return undefined;
  }
  throw new Error(`cannot lock ${folder}`);
}
