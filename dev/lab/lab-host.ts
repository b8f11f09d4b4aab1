import type { HostKind } from "./host.ts";
import { operator } from "./network.ts";
import { defaultSuite, type Suite } from "./suite.ts";

/** A host that a lab shall have. */
export interface LabHost {
  /** Up to 15 of a-z, 0-9 and "-". */
  name: string;
  /** @default "git" */
  kind?: HostKind;
  /** @default `$NIXOS_CACHE_SUITE`, else "trixie" */
  suite?: Suite;
}

/** What a host is to be, with nothing left open. */
export type HostSort = Required<Omit<LabHost, "name">>;

/**
 * What each host is to be, by its name, in the order given.
 * @throws when a lab cannot have a host of that name
 */
export function sortsByName(hosts: readonly (string | LabHost)[]): Map<string, HostSort> {
  const all = hosts.map((host) => (typeof host === "string" ? { name: host } : host));
  for (const { name } of all)
    if (!/^[a-z][a-z0-9-]{0,14}$/.test(name) || [operator, "lo"].includes(name))
      throw new Error(`a lab cannot have a host named ${JSON.stringify(name)}`);
  return new Map(
    all.map(({ name, kind = "git", suite = defaultSuite() }: LabHost) => [name, { kind, suite }]),
  );
}
