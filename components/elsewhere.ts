import type { StackConfig } from "../config/stack-config.ts";
import type { OtherClient } from "./client-data.ts";
import { OtherStacks } from "./other-stacks.ts";
import type { ServerData } from "./server-data.ts";

/** What the settings name that is in other stacks. */
export interface Elsewhere {
  /** The servers there, by name. */
  servers: Record<string, ServerData>;
  /** For each server here, the clients there that it lets in, by name. */
  clients: Record<string, Record<string, OtherClient>>;
}

/**
 * What the settings name that is in other stacks, as data.
 * @throws pulumi.RunError where another stack does not put it out
 */
export async function elsewhere({
  servers,
  otherServers,
}: Pick<StackConfig, "servers" | "otherServers">): Promise<Elsewhere> {
  const stacks = new OtherStacks();
  return {
    servers: await inEach(otherServers, (name, server) => otherServer(stacks, name, server)),
    clients: await inEach(servers, (_, { otherClients = {} }) =>
      inEach(otherClients, async (name, client) =>
        typeof client === "object" && "stack" in client
          ? stacks.client(client.stack, name)
          : client,
      ),
    ),
  };
}

/** A server of another stack, as its clients here have to know it. */
async function otherServer(
  stacks: OtherStacks,
  name: string,
  {
    stack,
    address = name,
    port = 22,
    hostKey,
    trustedPublicKey,
  }: StackConfig["otherServers"][string],
): Promise<ServerData> {
  if (stack !== undefined) return stacks.server(stack, name);
  if (hostKey === undefined || trustedPublicKey === undefined) {
    throw new Error(`otherServers.${name} was not checked`);
  }
  return { name, address, port, hostKey, trustedPublicKey };
}

async function inEach<T, U>(
  group: Record<string, T>,
  map: (name: string, value: T) => Promise<U>,
): Promise<Record<string, U>> {
  const entries = Object.entries(group).map(
    async ([name, value]) => [name, await map(name, value)] as const,
  );
  return Object.fromEntries(await Promise.all(entries));
}
