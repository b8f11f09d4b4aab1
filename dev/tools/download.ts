import { join } from "node:path";
import { execa } from "execa";

const probeTimeout = 3_000; // ms; a network that drops packets must not hold a start up
const installTimeout = 600_000; // ms

/** Whether Pulumi's download host answers. Quick, also where the network drops packets. */
export async function canDownload(): Promise<boolean> {
  return (await run(["probe"], probeTimeout)).ok;
}

/**
 * Runs the official installer of the Pulumi CLI into `root`/bin.
 *
 * @returns undefined, or why it failed, in one line
 */
export async function downloadPulumi(version: string, root: string): Promise<string | undefined> {
  const installed = await run(["install", version, root], installTimeout);
  return installed.ok ? undefined : installed.reason;
}

async function run(args: string[], timeout: number): Promise<{ ok: boolean; reason: string }> {
  const script = join(import.meta.dirname, "official-installer.ts");
  const result = await execa(process.execPath, [script, ...args], {
    env: { NODE_USE_ENV_PROXY: "1" }, // Node's fetch asks for no proxy by itself
    stdin: "ignore",
    timeout,
    reject: false,
  });
  const reason = result.timedOut
    ? `no end after ${timeout / 1000} s`
    : (result.stderr.split("\n").find((line) => /error/i.test(line)) ?? `exit ${result.exitCode}`);
  return { ok: result.exitCode === 0, reason: reason.trim() };
}
