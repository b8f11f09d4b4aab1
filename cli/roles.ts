import { type MachineSettings, machinesOf } from "../config/machines.ts";
import type { StackConfig } from "../config/stack-config.ts";

/** The machines that may be contacted, the servers first. */
export function machinesInOrder(settings: StackConfig): [string, MachineSettings][] {
  const order = [...Object.keys(settings.servers), ...Object.keys(settings.clients)];
  return [...machinesOf(settings)].sort(([a], [b]) => order.indexOf(a) - order.indexOf(b));
}

/** What a machine does by the settings: `serves`, `fetches`, or both. */
export function roleOf(name: string, { servers, clients }: StackConfig): string {
  return [
    ...(Object.hasOwn(servers, name) ? ["serves"] : []),
    ...(Object.hasOwn(clients, name) ? ["fetches"] : []),
  ].join(", ");
}

/** How the clients of a server reach it (components/cache-server.ts). */
export function addressOf(
  name: string,
  { servers }: StackConfig,
): { address: string; port: number; hostKey: string } {
  const server = servers[name];
  if (server === undefined) throw new Error(`there is no server ${name}`);
  return {
    address: server.address ?? name,
    port: server.port ?? server.connection.port ?? 22,
    hostKey: server.connection.hostKey,
  };
}
