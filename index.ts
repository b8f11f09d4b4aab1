import * as pulumi from "@pulumi/pulumi";
import { CacheClient } from "./components/cache-client.ts";
import { CacheServer } from "./components/cache-server.ts";
import { ConfigError, namespace } from "./config/config-error.ts";
import { checkOperatorLogin } from "./config/operator-login.ts";
import { rotationOf } from "./config/rotation.ts";
import { parseStackConfig } from "./config/stack-config.ts";

const config = readConfig();
const secrets = new pulumi.Config(namespace);
const login = {
  privateKey: secrets.getSecret("privateKey"),
  privateKeyPassword: secrets.getSecret("privateKeyPassword"),
};

const caches = new Map(
  Object.entries(config.servers).map(([name, { connection, address, port, rotation }]) => [
    name,
    new CacheServer(name, {
      connection: { ...connection, ...login },
      address,
      port,
      rotation: rotationOf({ ...config, own: rotation }),
    }),
  ]),
);

const machines = Object.entries(config.clients).map(
  ([name, client]) =>
    [
      name,
      new CacheClient(name, {
        connection: { ...client.connection, ...login },
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
