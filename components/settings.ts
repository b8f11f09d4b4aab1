/** The options of `services.nixos-cache.server` (nixos/module.nix). */
export interface ServerSettings {
  onlyOurKeys: boolean;
}

/** The options of `services.nixos-cache.client` (nixos/module.nix). */
export interface ClientSettings {
  servers: Record<string, ServerForClient>;
}

/** A cache as its client's configuration has to know it. */
export interface ServerForClient {
  /** Host name or address, as the client resolves it. */
  address: string;
  port: number;
  /** sshd's host key, `type base64`. */
  hostKey: string;
  /** Lower is asked first; `null` leaves it to Nix, which asks an SSH store before the public caches. */
  priority: number | null;
}

/**
 * The text of a machine's settings: one line of JSON without spaces, keys sorted, as `builtins.toJSON` writes it. So a
 * machine can compare it with what its running system was built with.
 */
export function settingsJson(settings: ServerSettings | ClientSettings): string {
  return `${canonical(settings)}\n`;
}

function canonical(value: unknown): string {
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  // Nix sorts by bytes, and JSON.stringify would put names that are numbers first.
  const entries = Object.entries(value).sort(([a], [b]) =>
    Buffer.compare(Buffer.from(a), Buffer.from(b)),
  );
  return `{${entries.map(([key, inner]) => `${JSON.stringify(key)}:${canonical(inner)}`).join(",")}}`;
}

/** A server as its client's step `identity` gets it: where to try the new key, and what to trust its signatures by. */
export interface ServerForIdentity extends Pick<ServerForClient, "address" | "port" | "hostKey"> {
  /** `name:base64` (nix.conf(5), `trusted-public-keys`). */
  trustedPublicKey: string;
}

/** What the step `identity` gets after the settings: the servers, a line each, and the private key. */
export function identityInput(servers: ServerForIdentity[], privateKey: string): string {
  const lines = servers.map(
    ({ address, port, hostKey, trustedPublicKey }) =>
      `${address} ${port} ${hostKey} ${trustedPublicKey}\n`,
  );
  return `${lines.join("")}\n${privateKey}`;
}
