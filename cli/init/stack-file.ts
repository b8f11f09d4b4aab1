import type { Place } from "./users-ssh.ts";

/** A machine that `init` has looked at, under the name that the settings have for it. */
export interface Machine {
  name: string;
  place: Pick<Place, "host" | "port" | "user">;
  hostKey: string;
  /** Whether its owner deploys it from elsewhere. */
  isDeployed: boolean;
}

/** What the new stack says: the settings of its machines. */
export interface NewStack {
  servers: (Machine & { address: string })[];
  clients: Machine[];
}

/** The settings as values, for the check that the stack file gets too (config/stack-config.ts). */
export function settingsOf({ servers, clients }: NewStack): { servers: object; clients: object } {
  const names = servers.map(({ name }) => name);
  return {
    servers: Object.fromEntries(
      servers.map(({ address, ...machine }) => [machine.name, { ...entry(machine), address }]),
    ),
    clients: Object.fromEntries(
      clients.map((machine) => [
        machine.name,
        { ...entry(machine), servers: names.filter((name) => name !== machine.name) },
      ]),
    ),
  };
}

function entry({ place: { host, port, user }, hostKey, isDeployed }: Machine) {
  return {
    connection: {
      host,
      ...(port === 22 ? {} : { port }),
      ...(user === "root" ? {} : { user }),
      hostKey,
    },
    ...(isDeployed ? { rebuild: { by: "owner" } } : {}),
  };
}

/** The same as the text of a stack file: YAML of the kind that people write. */
export function stackFile(stack: NewStack): string {
  const { servers, clients } = settingsOf(stack);
  const groups = Object.entries({ servers, clients }).filter(
    ([, machines]) => Object.keys(machines).length > 0,
  );
  return `config:\n${groups
    .map(([group, machines]) => `  nixos-cache:${group}:\n${yaml(machines, "    ")}`)
    .join("")}`;
}

/** Groups, lists of plain words, and plain values: all that there is in these settings once they are checked. */
function yaml(group: object, indent: string): string {
  return Object.entries(group)
    .map(([key, value]) => {
      // A name like 12 or null is something else in YAML.
      const name =
        /^[a-z]/.test(key) && !/^(null|true|false|yes|no|on|off|y|n)$/.test(key)
          ? key
          : JSON.stringify(key);
      if (Array.isArray(value)) return `${indent}${name}: [${value.map(scalar).join(", ")}]\n`;
      return typeof value === "object" && value !== null
        ? `${indent}${name}:\n${yaml(value, `${indent}  `)}`
        : `${indent}${name}: ${scalar(value)}\n`;
    })
    .join("");
}

function scalar(value: unknown): string {
  const text = String(value);
  const isPlain =
    typeof value === "string" &&
    /^[A-Za-z][A-Za-z0-9.+/= -]*$/.test(text) &&
    !/^(null|true|false|yes|no|on|off|y|n)$/i.test(text);
  return typeof value === "number" || isPlain ? text : JSON.stringify(text);
}
