import type { Lab } from "../../dev/lab/lab.ts";
import { until } from "../../dev/lab/until.ts";

/** A build on a host that goes on until it is told to end. */
export interface LongBuild {
  /** Lets it end, and waits for that.
   * @returns the new store path
   * @throws with Nix's words when it has failed */
  finish(): Promise<string>;
}

let count = 0;

/**
 * Starts one, and waits until its builder runs.
 * @param store of nix-build: `daemon`, by the daemon, as everybody builds; `auto`, for root without it (nix3-help-stores(1))
 */
export async function startLongBuild(
  lab: Lab,
  host: string,
  store: "daemon" | "auto",
): Promise<LongBuild> {
  const pipe = `/run/long-build-${count++}`;
  const on = (script: string) => lab.exec(host, ["sh", "-c", script]);
  await on(`mkfifo -m 666 ${pipe}`);
  const text = `a long build, ${new Date().toISOString()}, ${process.hrtime.bigint()}`;
  const expression = `(import /etc/nixpkgs { }).runCommand "long" { } "read -r end <${pipe}; echo ${text} >$out"`;
  // In the sandbox the pipe could not be seen.
  const options = ["--store", store, "--option", "sandbox", "false"];
  const argv = ["nix-build", "--no-out-link", ...options, "--expr", expression];
  const build = lab.exec(host, argv);
  await until(async () => (await on(`pgrep -G nixbld -f ${pipe}`)).code === 0, {
    seconds: 60,
    otherwise: "the build does not begin",
  });
  return {
    async finish() {
      await on(`echo end >${pipe}`);
      const { code, stdout, stderr } = await build;
      if (code !== 0) throw new Error(`the build failed: ${stderr}`);
      return stdout.trim();
    },
  };
}
