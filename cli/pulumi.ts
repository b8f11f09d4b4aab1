import { spawn } from "node:child_process";
import { text } from "node:stream/consumers";

/** A call of the Pulumi CLI that did not succeed. */
export class PulumiError extends Error {
  override name = "PulumiError";
  /** What the CLI wrote to stderr. */
  readonly said: string;
  /** Whether there is a Pulumi CLI on PATH at all. */
  readonly isThere: boolean;

  constructor(args: readonly string[], said: string, isThere = true) {
    super(isThere ? `pulumi ${args.join(" ")} failed: ${said.trim()}` : "pulumi is not on PATH");
    this.said = said;
    this.isThere = isThere;
  }
}

/**
 * Runs the Pulumi CLI in the current folder, without questions to a person.
 * @param args nothing secret
 * @param stdin text for it; the only way for a secret
 * @returns its stdout
 * @throws PulumiError
 */
export async function pulumi(args: readonly string[], stdin = ""): Promise<string> {
  const child = spawn("pulumi", args, {
    stdio: "pipe",
    env: { ...process.env, PULUMI_SKIP_UPDATE_CHECK: "true" },
  });
  // It may end before it has read all.
  child.stdin.on("error", () => {});
  child.stdin.end(stdin);
  const ended = new Promise<number | null>((resolve, reject) => {
    child.on("error", () => reject(new PulumiError(args, "", false)));
    child.on("close", resolve);
  });
  const [status, stdout, stderr] = await Promise.all([
    ended,
    text(child.stdout),
    text(child.stderr),
  ]);
  if (status !== 0) throw new PulumiError(args, stderr || stdout);
  return stdout;
}
