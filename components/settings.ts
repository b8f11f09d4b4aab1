import * as pulumi from "@pulumi/pulumi";

/** The options of `services.nixos-cache.server` (nixos/module.nix). */
export interface ServerSettings {
  onlyOurKeys: boolean;
  /** Not there: nothing is built ahead of time. */
  warm?: WarmSettings;
}

/** The systems that a server builds ahead of time (nixos/warm.nix says what each option is). */
export interface WarmSettings {
  flake: string;
  systems: readonly string[];
  startAt: string;
  user: string | null;
  keep: number;
  maxSize: string | null;
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
  /** What it fetches by; `null` leaves it to the module, which goes by the client's Nix. */
  protocol: Protocol | null;
}

/** Nix's two protocols over SSH; a server serves both. */
export type Protocol = "ssh" | "ssh-ng";

/**
 * The text of a machine's settings: one line of JSON without spaces, keys sorted, as `builtins.toJSON` writes it. So a
 * machine can compare it with what its running system was built with.
 */
export function settingsJson(settings: ServerSettings | ClientSettings): string {
  return `${canonical(settings)}\n`;
}

function canonical(value: unknown): string {
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
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
  /**
   * Of a server in another stack: `other`, the new key is tried there; `waits`, that stack has not authorized it yet, so a key that
   * the client has stays in use.
   */
  whose?: "other" | "waits" | undefined;
}

/**
 * A client's servers, by their names. The order of the list is that in which Nix asks them: of several each has its own priority,
 * from that of the first upwards.
 * @param client its name, for messages
 * @param options.priority of the first; none leaves it to Nix, which takes 0 for an SSH store
 * @param options.protocol of all of them; none leaves it to the module
 * @throws pulumi.RunError if two of them have the same name or address, which shows late in data of other stacks
 */
export function serversForClient(
  client: string,
  servers: (Pick<ServerForClient, "address" | "port" | "hostKey"> & { name: string })[],
  { priority, protocol }: { priority?: number | undefined; protocol?: Protocol | undefined } = {},
): Record<string, ServerForClient> {
  for (const what of ["name", "address"] as const) {
    const values = servers.map((server) => server[what].toLowerCase());
    const again = values.find((value, i) => values.indexOf(value) < i);
    if (again !== undefined) {
      throw new pulumi.RunError(
        `${client}: server has ${again} twice as ${what === "name" ? "a name" : "an address"}: pass each server once`,
      );
    }
  }
  const several = servers.length > 1;
  return Object.fromEntries(
    servers.map(({ name, address, port, hostKey }, i) => [
      name,
      {
        ...{ address, port, hostKey },
        priority: several ? (priority ?? 0) + i : (priority ?? null),
        protocol: protocol ?? null,
      },
    ]),
  );
}

/** What the step `identity` gets after the settings: the servers, a line each, and the private key. */
export function identityInput(servers: ServerForIdentity[], privateKey: string): string {
  const lines = servers.map(
    ({ address, port, hostKey, trustedPublicKey, whose }) =>
      `${address} ${port} ${hostKey} ${trustedPublicKey}${whose === undefined ? "" : ` ${whose}`}\n`,
  );
  return `${lines.join("")}\n${privateKey}`;
}
