import { moduleVersion } from "../machine/agent.ts";

/** What the module reads from `client.json`: this machine fetches. */
export interface ClientSettings {
  servers: Record<string, ServerForClient>;
}

/** `server.json` needs no more than to be there: this machine serves. */
export type ServerSettings = Record<string, never>;

/** A cache as its client has to know it. */
export interface ServerForClient {
  /** Host name or address, as the client resolves it. */
  address: string;
  port: number;
  /** sshd's host key, `type base64`. */
  hostKey: string;
  /** `name:base64` each (nix.conf(5), `trusted-public-keys`). */
  trustedPublicKeys: string[];
  /** Lower is asked first; `null` leaves it to Nix, which asks an SSH store before the public caches. */
  priority: number | null;
}

/**
 * The text of a settings file. It carries the module's version, so that a new module counts as a change.
 * Two spaces an indent: people read the file on the machine, and Pulumi shows a change of it as JSON.
 */
export function settingsJson(settings: ClientSettings | ServerSettings): string {
  return `${JSON.stringify({ module: moduleVersion, ...settings }, null, 2)}\n`;
}

/** What `pai-identity` sends: where to try the new key, then the key itself (machine/agent.sh, `identity`). */
export function identityInput(
  servers: Pick<ServerForClient, "address" | "port" | "hostKey">[],
  privateKey: string,
): string {
  const places = servers.map(({ address, port, hostKey }) => `${address} ${port} ${hostKey}\n`);
  return `${places.join("")}\n${privateKey}`;
}
