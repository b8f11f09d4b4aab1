import * as pulumi from "@pulumi/pulumi";
import { CacheClient } from "./components/cache-client.ts";
import { CacheServer } from "./components/cache-server.ts";
import { canHaveToAnswer } from "./components/has-to-answer.ts";
import type { MachineArgs } from "./components/machine-args.ts";
import { thisStack } from "./components/owner.ts";
import { takenSteps } from "./components/taken-steps.ts";
import { checkAgent } from "./config/agent.ts";
import { ConfigError, namespace } from "./config/config-error.ts";
import { type MachineSettings, machinesOf } from "./config/machines.ts";
import { checkOperatorLogin } from "./config/operator-login.ts";
import { rotationOf } from "./config/rotation.ts";
import { parseStackConfig } from "./config/stack-config.ts";
import { driftInWords, driftOf, isAway } from "./machine/drift.ts";
import type { Observation } from "./machine/observation.ts";
import { observeAll } from "./machine/observe.ts";
import { sshLogin } from "./machine/ssh-login.ts";

const config = await readConfig();
const secrets = new pulumi.Config(namespace);
const login = {
  privateKey: secrets.getSecret("privateKey"),
  privateKeyPassword: secrets.getSecret("privateKeyPassword"),
  agentSocket: config.agentSocket,
};

// Before anything is declared: what has drifted on a machine decides which of its steps are taken again.
const observed = config.observe ? await observe() : new Map<string, Observation>();

// Of a machine that is left alone, what the state has is kept, and no more is tried.
const isOff = (name: string) => isAway(observed.get(name), mayBeOff(name));
const isLeft = (name: string) => config.clients[name]?.gone === true || isOff(name);
const taken = Object.keys(config.clients).some(isLeft) ? await takenSteps() : undefined;

// Whether an update asks those machines once more that did not answer now.
const isSilent = (name: string) => observed.get(name)?.state === "unknown" && !isOff(name);
const asksAgain = [...observed.keys()].some(isSilent) && (await canHaveToAnswer());

const caches = new Map(
  Object.entries(config.servers).map(([name, server]) => [
    name,
    new CacheServer(name, {
      ...machineArgs(name, server),
      address: server.address,
      port: server.port,
      onlyOurKeys: server.onlyOurKeys,
      rotation: rotationOf({ ...config, own: server.rotation }),
    }),
  ]),
);

const machines = Object.entries(config.clients).map(
  ([name, client]) =>
    [
      name,
      new CacheClient(name, {
        ...machineArgs(name, client),
        server: client.servers.map(cacheNamed),
        priority: client.priority,
        rotation: rotationOf({ ...config, own: client.rotation }),
        gone: client.gone,
        mayBeOff: client.mayBeOff,
        away: isOff(name),
        taken,
      }),
    ] as const,
);

/** For each server, what a machine outside this stack would need to fetch from it, but for the login. */
export const servers = Object.fromEntries(
  [...caches].map(([name, { address, port, hostKey, trustedPublicKey, keyCreated }]) => [
    name,
    { address, port, hostKey, trustedPublicKey, keyCreated },
  ]),
);

/** For each client, the SSH key that it reads with. */
export const clients = Object.fromEntries(
  machines.map(([name, { publicKey, fingerprint, keyCreated }]) => [
    name,
    { publicKey, fingerprint, keyCreated },
  ]),
);

/** For each machine, its `services.nixos-cache` (nixos/module.nix): to import where its owner deploys them. */
export const settings = Object.fromEntries(
  [...new Set([...caches.keys(), ...machines.map(([name]) => name)])].map((name) => [
    name,
    {
      server: caches.get(name)?.settings.apply((own) => ({ enable: true, ...own })),
      client: machines.find(([client]) => client === name)?.[1].settings,
    },
  ]),
);

function mayBeOff(name: string): boolean {
  return config.clients[name]?.mayBeOff ?? false;
}

/** Looks at every machine, and tells the person what is not as it should be. */
async function observe(): Promise<Map<string, Observation>> {
  const addresses = [...machinesOf(config)].map(
    ([name, { connection }]) => [name, { ...connection, component: name }] as const,
  );
  const observations = await observeAll(new Map(addresses), () => ({
    stack: thisStack(),
    login: sshLogin(config),
  }));
  for (const [name, observation] of observations) {
    for (const { severity, text } of driftInWords(name, observation, mayBeOff(name))) {
      await pulumi.log[severity](text);
    }
  }
  return observations;
}

function machineArgs(
  name: string,
  { connection, rebuild, confirmWithin, onlyOurs, takeOver }: MachineSettings,
): MachineArgs {
  return {
    connection: { ...connection, ...login },
    ...{ rebuild, confirmWithin, onlyOurs, takeOver },
    drift: driftOf(observed.get(name), new Date()),
    silent: isSilent(name),
    hasToAnswer: isSilent(name) && asksAgain,
    plan: config.plan,
  };
}

function cacheNamed(name: string): CacheServer {
  const cache = caches.get(name);
  if (cache === undefined) throw new Error(`there is no server ${name}`);
  return cache;
}

/** A person's mistake is shown as it is, without a stack trace. */
async function readConfig() {
  try {
    const settings = parseStackConfig(pulumi.runtime.allConfig());
    checkOperatorLogin(settings);
    await checkAgent(settings);
    return settings;
  } catch (error) {
    if (error instanceof ConfigError) {
      throw new pulumi.RunError(`The stack's settings need a change:\n${error.message}`);
    }
    throw error;
  }
}
