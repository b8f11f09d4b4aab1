import * as pulumi from "@pulumi/pulumi";
import { CacheClient } from "./components/cache-client.ts";
import { CacheServer } from "./components/cache-server.ts";
import type { MachineArgs } from "./components/machine-args.ts";
import { ConfigError, namespace } from "./config/config-error.ts";
import { type MachineSettings, machinesOf } from "./config/machines.ts";
import { checkOperatorLogin } from "./config/operator-login.ts";
import { rotationOf } from "./config/rotation.ts";
import { parseStackConfig } from "./config/stack-config.ts";
import { driftInWords, driftOf } from "./machine/drift.ts";
import type { Observation } from "./machine/observation.ts";
import { observeAll } from "./machine/observe.ts";
import { sshLogin } from "./machine/ssh-login.ts";

const config = readConfig();
const secrets = new pulumi.Config(namespace);
const login = {
  privateKey: secrets.getSecret("privateKey"),
  privateKeyPassword: secrets.getSecret("privateKeyPassword"),
};

// Before anything is declared: what has drifted on a machine decides which of its steps are taken again.
const observed = config.observe ? await observe() : new Map<string, Observation>();

const caches = new Map(
  Object.entries(config.servers).map(([name, server]) => [
    name,
    new CacheServer(name, {
      ...machineArgs(name, server),
      address: server.address,
      port: server.port,
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

/** Looks at every machine, and tells the person what is not as it should be. */
async function observe(): Promise<Map<string, Observation>> {
  const observations = await observeAll(machinesOf(config), () => sshLogin(config));
  for (const [name, observation] of observations) {
    const said = driftInWords(name, observation);
    if (said !== undefined) await pulumi.log[said.severity](said.text);
  }
  return observations;
}

function machineArgs(
  name: string,
  { connection, rebuild, confirmWithin, onlyOurs }: MachineSettings,
): MachineArgs {
  return {
    connection: { ...connection, ...login },
    rebuild,
    confirmWithin,
    onlyOurs,
    drift: driftOf(observed.get(name), new Date()),
    plan: config.plan,
  };
}

function cacheNamed(name: string): CacheServer {
  const cache = caches.get(name);
  if (cache === undefined) throw new Error(`there is no server ${name}`);
  return cache;
}

/** A person's mistake is shown as it is, without a stack trace. */
function readConfig() {
  try {
    const settings = parseStackConfig(pulumi.runtime.allConfig());
    checkOperatorLogin(settings);
    return settings;
  } catch (error) {
    if (error instanceof ConfigError) {
      throw new pulumi.RunError(`The stack's settings need a change:\n${error.message}`);
    }
    throw error;
  }
}
