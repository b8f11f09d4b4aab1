import { execFile } from "node:child_process";
import { promisify } from "node:util";

const run = promisify(execFile);

/**
 * How many keys the person's SSH agent holds; undefined where none answers. ssh-add(1) ends with 1 where there are no keys,
 * with 2 where there is no agent.
 */
export async function keysOfAgent(): Promise<number | undefined> {
  try {
    return (await run("ssh-add", ["-l"])).stdout.trimEnd().split("\n").length;
  } catch (error) {
    return (error as { code?: unknown }).code === 1 ? 0 : undefined;
  }
}
