import * as pulumi from "@pulumi/pulumi";
import { type MachineSettings, machinesOf } from "../config/machines.ts";
import { rotationOf } from "../config/rotation.ts";
import type { StackConfig } from "../config/stack-config.ts";
import { driftInWords, driftOf, isAway } from "../machine/drift.ts";
import type { Observation } from "../machine/observation.ts";
import { observeAll } from "../machine/observe.ts";
import { sshLogin } from "../machine/ssh-login.ts";
import { CacheClient } from "./cache-client.ts";
import { CacheServer } from "./cache-server.ts";
import type { ConnectionArgs } from "./connection.ts";
import { elsewhere } from "./elsewhere.ts";
import { canHaveToAnswer } from "./has-to-answer.ts";
import { inWords } from "./in-words.ts";
import type { MachineArgs } from "./machine-args.ts";
import { nameBelow, thisStack } from "./owner.ts";
import { tellOfRebuilds } from "./rebuilds.ts";
import type { ServerOfClient } from "./server-of-client.ts";
import { takenSteps } from "./taken-steps.ts";
import { whenKnown } from "./when-known.ts";

/** The operator's login, the same on all machines; without a key it is the SSH agent's. */
export type Login = Pick<ConnectionArgs, "privateKey" | "privateKeyPassword">;

/** Everything of a configuration, declared. */
export interface Caches {
  servers: ReadonlyMap<string, CacheServer>;
  clients: ReadonlyMap<string, CacheClient>;
}

/**
 * Looks at the machines of a configuration, tells the person what is not as it should be, and declares a component for each of
 * their roles.
 * @param config checked settings
 * @param parent of the components. Their names are the machines' own whatever it is called.
 */
export async function caches(
  config: Omit<StackConfig, "privateKey" | "privateKeyPassword">,
  login: Login,
  parent?: pulumi.ComponentResource,
): Promise<Caches> {
  // Before anything is declared, and touched: what other stacks put out may be missing.
  const others = await elsewhere(config);

  // Before anything is declared: what has drifted on a machine decides which of its steps are taken again.
  const observed = config.observe
    ? await observe(config, login, parent)
    : new Map<string, Observation>();

  // Of a machine that is left alone, what the state has is kept, and no more is tried.
  const isOff = (name: string) => isAway(observed.get(name), mayBeOff(config, name));
  const isLeft = (name: string) => config.clients[name]?.gone === true || isOff(name);
  const taken = Object.keys(config.clients).some(isLeft) ? await takenSteps() : undefined;

  // Whether an update asks those machines once more that did not answer now.
  const isSilent = (name: string) => observed.get(name)?.state === "unknown" && !isOff(name);
  const asksAgain = [...observed.keys()].some(isSilent) && (await canHaveToAnswer());

  const opts = parent === undefined ? {} : { parent };
  const machineArgs = (
    name: string,
    { connection, rebuild, confirmWithin, onlyOurs, takeOver }: MachineSettings,
  ): MachineArgs => ({
    connection: { ...connection, ...login, agentSocket: config.agentSocket },
    ...{ rebuild, confirmWithin, onlyOurs, takeOver },
    drift: driftOf(observed.get(name), new Date()),
    silent: isSilent(name),
    hasToAnswer: isSilent(name) && asksAgain,
    plan: config.plan,
  });

  // Of a server that is a client too, its settings as one: that client is made below, once all servers are.
  const clientSettingsOf = (name: string) => {
    const client = config.clients[name];
    if (client === undefined || client.gone) return undefined;
    const made = Promise.resolve().then(() => {
      const settings = clients.get(name)?.settings;
      if (settings === undefined) throw new Error(`there is no client ${name}`);
      return settings;
    });
    return pulumi.output(made);
  };
  const servers = new Map(
    Object.entries(config.servers).map(([name, server]) => [
      name,
      new CacheServer(
        name,
        {
          ...machineArgs(name, server),
          address: server.address,
          port: server.port,
          onlyOurKeys: server.onlyOurKeys,
          warm: server.warm,
          otherClients: others.clients[name],
          clientSettings: clientSettingsOf(name),
          rotation: rotationOf({ ...config, own: server.rotation }),
        },
        opts,
      ),
    ]),
  );
  const serverNamed = (name: string): ServerOfClient => {
    const server = servers.get(name) ?? others.servers[name];
    if (server === undefined) throw new Error(`there is no server ${name}`);
    return server;
  };
  const clients = new Map(
    Object.entries(config.clients).map(([name, client]) => [
      name,
      new CacheClient(
        name,
        {
          ...machineArgs(name, client),
          server: client.servers.map(serverNamed),
          priority: client.priority,
          protocol: client.protocol,
          rotation: rotationOf({ ...config, own: client.rotation }),
          gone: client.gone,
          mayBeOff: client.mayBeOff,
          away: isOff(name),
          taken,
        },
        opts,
      ),
    ]),
  );
  if (config.observe) {
    const roles = [
      ...[...servers].map(([name, { settings, ready }]) => {
        return { name, role: "server" as const, settings, ready };
      }),
      ...[...clients].map(([name, { settings, ready }]) => {
        return { name, role: "client" as const, settings, ready };
      }),
    ].filter(({ name }) => !isLeft(name) && !isDeployedByOwner(config, name));
    tellOfRebuilds(roles, observed, whoServesWhom(config), parent);
  }
  return { servers, clients };
}

/** Looks at every machine, and tells the person what is not as it should be. */
async function observe(
  config: Pick<StackConfig, "servers" | "clients" | "agentSocket">,
  login: Login,
  parent: pulumi.ComponentResource | undefined,
): Promise<Map<string, Observation>> {
  const addresses = await Promise.all(
    [...machinesOf(config)].map(
      async ([name, { connection }]) =>
        [name, { ...connection, component: await nameBelow(parent, name) }] as const,
    ),
  );
  const known = await whenKnown(pulumi.output(login));
  const observations = await observeAll(new Map(addresses), () => {
    if (known === undefined) throw new Error("the operator's private key is not known yet");
    return { stack: thisStack(), login: sshLogin({ ...known, agentSocket: config.agentSocket }) };
  });
  for (const [name, observation] of observations) {
    const expectations = {
      mayBeOff: mayBeOff(config, name),
      deployedByOwner: isDeployedByOwner(config, name),
    };
    for (const { severity, text } of driftInWords(name, observation, expectations)) {
      await pulumi.log[severity](text, parent);
    }
  }
  return observations;
}

function whoServesWhom({ servers, clients }: Pick<StackConfig, "servers" | "clients">): string {
  const served = (server: string) =>
    Object.entries(clients).flatMap(([name, client]) =>
      client.servers.includes(server) && !client.gone ? [name] : [],
    );
  return Object.keys(servers)
    .map((server) => `${server} serves ${inWords(served(server)) || "no machine of this stack"}.`)
    .join(" ");
}

function isDeployedByOwner(
  { servers, clients }: Pick<StackConfig, "servers" | "clients">,
  name: string,
): boolean {
  return [servers[name], clients[name]].some((machine) => machine?.rebuild?.by === "owner");
}

function mayBeOff({ clients }: Pick<StackConfig, "clients">, name: string): boolean {
  return clients[name]?.mayBeOff ?? false;
}
