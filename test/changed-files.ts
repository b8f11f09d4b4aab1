import { readFile } from "node:fs/promises";
import { execa } from "execa";

/** The checkout's files with their text, those that are not in git yet included. */
export async function checkoutFiles(): Promise<Map<string, string>> {
  const files = await git("ls-files", "--cached", "--others", "--exclude-standard");
  // One that was deleted is named by others still.
  const texts = files.map(
    async (file) => [file, await readFile(file, "utf8").catch(() => "")] as const,
  );
  return new Map(await Promise.all(texts));
}

/** Those that are not as they are in a commit. */
export async function changedSince(commit: string): Promise<string[]> {
  const changed = await git("diff", "--name-only", "--relative", commit, "--");
  return [...changed, ...(await git("ls-files", "--others", "--exclude-standard"))];
}

async function git(...args: string[]): Promise<string[]> {
  const { stdout } = await execa("git", args);
  return stdout.split("\n").filter(Boolean);
}
