import type { HostKind } from "./host.ts";
import { operator } from "./network.ts";

/** A host that a lab shall have. */
export interface LabHost {
  /** Up to 15 of a-z, 0-9 and "-". */
  name: string;
  /** @default "git" */
  kind?: HostKind;
}

/**
 * The kind of each host, by its name, in the order given.
 * @throws when a lab cannot have a host of that name
 */
export function kindsByName(hosts: readonly (string | LabHost)[]): Map<string, HostKind> {
  const all = hosts.map((host) => (typeof host === "string" ? { name: host } : host));
  for (const { name } of all)
    if (!/^[a-z][a-z0-9-]{0,14}$/.test(name) || [operator, "lo"].includes(name))
      throw new Error(`a lab cannot have a host named ${JSON.stringify(name)}`);
  return new Map(all.map(({ name, kind = "git" }: LabHost) => [name, kind]));
}
