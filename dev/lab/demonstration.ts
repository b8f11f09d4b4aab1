import type { Lab } from "./lab.ts";

/** A store path that came from the cache. */
export interface Fetched {
  path: string;
  /** Nix's own line: `copying path '…' from 'ssh://…'...`. */
  copying: string;
  /** The name of the key whose signature the client accepted. */
  signedBy: string;
  /** Wall time of `nix-store --realise` on the client. */
  milliseconds: number;
}

/**
 * Builds a path that no store has yet on `server`, an ordinary input-addressed one, and says which.
 * @param options more words for nix-build
 */
export async function buildNewPath(
  lab: Lab,
  server: string,
  options: string[] = [],
): Promise<string> {
  const text = `built on ${server} at ${new Date().toISOString()}, ${process.hrtime.bigint()}`;
  const expression = `(import /etc/nixpkgs { }).runCommand "hello" { } "echo ${text} > $out"`;
  const argv = ["nix-build", "--no-out-link", "--expr", expression, ...options];
  return (await onHost(lab, server, argv)).stdout.trim();
}

/** Fetches `path` on `client` as anybody there would, through its Nix daemon. */
export async function fetchPath(lab: Lab, client: string, path: string): Promise<Fetched> {
  const start = performance.now();
  const { stderr } = await onHost(lab, client, ["nix-store", "--realise", path]);
  const milliseconds = Math.round(performance.now() - start);
  const copying = stderr.split("\n").find((line) => line.startsWith("copying path"));
  if (copying === undefined) throw new Error(`${client} did not fetch ${path}:\n${stderr}`);

  const info = await onHost(lab, client, ["nix", "path-info", "--json", path]);
  const { signatures = [] } =
    Object.values<{ signatures?: string[] }>(JSON.parse(info.stdout))[0] ?? {};
  const signedBy = signatures[0]?.split(":")[0];
  if (signedBy === undefined) throw new Error(`${path} came to ${client} without a signature`);
  return { path, copying, signedBy, milliseconds };
}

async function onHost(lab: Lab, host: string, argv: string[]) {
  const outcome = await lab.exec(host, argv);
  if (outcome.code !== 0) throw new Error(`${host}: ${argv.join(" ")} failed:\n${outcome.stderr}`);
  return outcome;
}
