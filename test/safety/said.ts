import { expect } from "vitest";
import type { Home } from "../system/home.ts";

/** What a person sees of one step of an update, in the order in which they see it. */
export function said(update: string, resource: string): string[] {
  return update
    .split("\n")
    .filter((line) => line.includes(` ${resource} updating `) && line.includes("; "))
    .map((line) => line.slice(line.indexOf("; ") + 2));
}

/** Runs an update, which has to find nothing to do, and no drift. @returns what the person reads */
export async function unchanged(home: Home): Promise<string> {
  const { stdout, stderr } = await home.stack.run([
    "up",
    "--yes",
    "--skip-preview",
    "--expect-no-changes",
  ]);
  expect(stdout + stderr).not.toMatch(/drifted|unknown/);
  return stdout + stderr;
}
