import { hostName } from "../machine/argument-schemas.ts";
import { bareHostKey } from "../machine/host-key.ts";
import { defaultOptions } from "../machine/options.ts";
import { namespace } from "./config-error.ts";
import type { StackConfig } from "./stack-config.ts";

type Machines = Pick<StackConfig, "servers" | "otherServers" | "clients" | "observe">;

/** What no single setting shows: names that lead nowhere, and one machine under two names. */
export function mistakesBetweenMachines(config: Machines): string[] {
  return [
    ...noServers(config),
    ...serversInTwoPlaces(config),
    ...Object.keys(config.clients).flatMap((name) => mistakesAboutServersOf(name, config)),
    ...serversWithoutAddress(config),
    ...serversWithOneAddress(config),
    ...machinesWithTwoNames(config),
    ...namesWithTwoMachines(config),
    ...rolesThatDiffer(config),
    ...clientsThatMayNotBeOff(config),
  ];
}

function noServers({ servers, otherServers }: Machines): string[] {
  return Object.keys({ ...servers, ...otherServers }).length > 0
    ? []
    : [
        `${namespace}:servers is empty: write at least one server, or run \`pulumi destroy\` to take all away`,
      ];
}

function serversInTwoPlaces({ servers, otherServers }: Machines): string[] {
  return Object.keys(otherServers)
    .filter((name) => Object.hasOwn(servers, name))
    .map(
      (name) =>
        `${namespace}:otherServers.${name} is a server of this stack too: write it in one of the two places`,
    );
}

function mistakesAboutServersOf(
  name: string,
  { servers, otherServers, clients }: Machines,
): string[] {
  const wanted = clients[name]?.servers ?? [];
  return wanted.flatMap((serverName, i) => {
    const setting = `${namespace}:clients.${name}.servers[${i}]`;
    if (serverName === name) {
      return `${setting} is ${name} itself: a machine has no use for its own cache, take it out`;
    }
    if (!Object.hasOwn(servers, serverName) && !Object.hasOwn(otherServers, serverName)) {
      const names = Object.keys({ ...servers, ...otherServers }).join(", ");
      return `${setting} names "${serverName}", which is no server: write one of ${names}`;
    }
    return wanted.indexOf(serverName) === i
      ? []
      : `${setting} names ${serverName} again: write each server once`;
  });
}

function serversWithoutAddress(config: Machines): string[] {
  return addressedServers(config).flatMap(({ setting, name, address }) =>
    address !== undefined || hostName.safeParse(name).success
      ? []
      : `${setting}.address is missing: ${name} alone would be taken for an IPv4 address, write the server's host name`,
  );
}

/** All servers whose addresses stand in the settings. */
function addressedServers({ servers, otherServers }: Machines) {
  return Object.entries({ servers, otherServers }).flatMap(([group, machines]) =>
    Object.entries(machines)
      .filter(([, machine]) => !("stack" in machine))
      .map(([name, { address }]) => ({ setting: `${namespace}:${group}.${name}`, name, address })),
  );
}

// Whatever the ports: a client's ssh tells its caches apart by their address.
function serversWithOneAddress(config: Machines): string[] {
  const addresses = addressedServers(config).map(
    ({ setting, name, address = name }) => [setting, address.toLowerCase()] as const,
  );
  return repetitions(addresses).map(
    ([setting, address, other]) =>
      `${setting}.address is ${address}, like that of ${other.split(".").at(-1)}: write each server's own address`,
  );
}

/** By what is one machine's alone: its place in the network, and its host key. */
function machinesWithTwoNames({ servers, clients }: Machines): string[] {
  // A machine in both roles counts where it serves, so that each mistake is told once.
  const machines = [
    ...Object.entries(servers).map(([name, { connection }]) => ({
      name,
      connection,
      group: "servers",
    })),
    ...Object.entries(clients)
      .filter(([name]) => !Object.hasOwn(servers, name))
      .map(([name, { connection }]) => ({ name, connection, group: "clients" })),
  ];
  return machines.flatMap(({ name, connection, group }, i) => {
    const before = (isSame: (other: Connection) => boolean) =>
      machines.slice(0, i).find((other) => isSame(other.connection))?.name;
    const atHost = before((other) => placeOf(other) === placeOf(connection));
    const withKey = before(
      (other) => bareHostKey(other.hostKey) === bareHostKey(connection.hostKey),
    );
    const other = atHost ?? withKey;
    if (other === undefined) return [];
    const shared =
      atHost === undefined
        ? `hostKey is ${bareHostKey(connection.hostKey)}`
        : `host is ${placeOf(connection)}`;
    return (
      `${namespace}:${group}.${name}.connection.${shared}, like that of ${other}: ` +
      `write its own, or call the machine ${other} in both places`
    );
  });
}

function namesWithTwoMachines({ servers, clients }: Machines): string[] {
  return Object.entries(clients).flatMap(([name, { connection }]) => {
    const server = Object.hasOwn(servers, name) ? servers[name] : undefined;
    return server === undefined ||
      (placeOf(server.connection) === placeOf(connection) &&
        bareHostKey(server.connection.hostKey) === bareHostKey(connection.hostKey))
      ? []
      : `${namespace}:clients.${name}.connection is another than that of the server ${name}: write the same, or another name`;
  });
}

/** A machine that serves and fetches has one helper and one login. */
function rolesThatDiffer({ servers, clients }: Machines): string[] {
  return Object.entries(clients).flatMap(([name, client]) => {
    const server = Object.hasOwn(servers, name) ? servers[name] : undefined;
    if (server === undefined) return [];
    const atServer = sharedSettings(server);
    return Object.entries(sharedSettings(client)).flatMap(([setting, value]) =>
      value === atServer[setting]
        ? []
        : `${namespace}:clients.${name}.${setting} is another than that of the server ${name}: write the same in both places`,
    );
  });
}

/** Whether a machine is off shows in a look at it; and who fetches from a server needs it on. */
function clientsThatMayNotBeOff({ servers, clients, observe }: Machines): string[] {
  return Object.entries(clients).flatMap(([name, { mayBeOff }]) => {
    const setting = `${namespace}:clients.${name}.mayBeOff`;
    if (mayBeOff !== true) return [];
    if (!observe) {
      return `${setting} needs a look at each machine, which ${namespace}:observe turns off: take one of them out`;
    }
    return Object.hasOwn(servers, name)
      ? `${setting} is for a machine that only fetches, and ${name} serves, too: take it out`
      : [];
  });
}

function sharedSettings({ connection, ...options }: Machine): Record<string, unknown> {
  const { rebuild, confirmWithin, onlyOurs, takeOver } = { ...defaultOptions, ...options };
  return {
    "connection.user": connection.user ?? "root",
    "rebuild.by": rebuild?.by,
    "rebuild.from": rebuild?.from,
    "rebuild.attribute": rebuild?.attribute,
    confirmWithin,
    onlyOurs,
    takeOver,
  };
}

type Machine = StackConfig["servers" | "clients"][string];
type Connection = Machine["connection"];

function placeOf({ jump, ...at }: Connection): string {
  const place = ({ host, port = 22 }: Omit<Connection, "jump">) =>
    `${host.toLowerCase()} port ${port}`;
  return jump === undefined ? place(at) : `${place(at)} behind ${place(jump)}`;
}

/** Each name whose value stood under another name before, with that value and that other name. */
function repetitions(entries: (readonly [string, string])[]): [string, string, string][] {
  return entries.flatMap(([name, value], i): [string, string, string][] => {
    const first = entries.findIndex(([, other]) => other === value);
    const other = entries[first]?.[0];
    return first < i && other !== undefined ? [[name, value, other]] : [];
  });
}
