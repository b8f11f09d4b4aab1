import * as pulumi from "@pulumi/pulumi";
import { caches } from "./components/caches.ts";
import { checkAgent } from "./config/agent.ts";
import { ConfigError, namespace } from "./config/config-error.ts";
import { checkOperatorLogin } from "./config/operator-login.ts";
import { parseStackConfig } from "./config/stack-config.ts";

// At the top of the stack, and not below a NixosCache: so the components have short names, on the machines too.
const secrets = new pulumi.Config(namespace);
const made = await caches(await readConfig(), {
  privateKey: secrets.getSecret("privateKey"),
  privateKeyPassword: secrets.getSecret("privateKeyPassword"),
});

/** For each server, what a client in another stack has to know of it (`otherServers` there). */
export const servers = Object.fromEntries(
  [...made.servers].map(([name, { data }]) => [name, data]),
);

/** For each client its newest SSH key, and what a server in another stack has to know of it (`otherClients` there). */
export const clients = Object.fromEntries(
  [...made.clients].map(([name, { publicKey, fingerprint, keyCreated, data }]) => [
    name,
    data.apply((data) => ({ ...data, publicKey, fingerprint, keyCreated })),
  ]),
);

/** For each machine, its `services.nixos-cache` (nixos/module.nix): to import where its owner deploys them. */
export const settings = Object.fromEntries(
  [...new Set([...made.servers.keys(), ...made.clients.keys()])].map((name) => [
    name,
    {
      server: made.servers.get(name)?.settings.apply((own) => ({ enable: true, ...own })),
      client: made.clients.get(name)?.settings,
    },
  ]),
);

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
