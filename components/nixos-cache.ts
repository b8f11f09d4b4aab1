import * as pulumi from "@pulumi/pulumi";
import { ConfigError, namespace } from "../config/config-error.ts";
import { parseProgramConfig } from "../config/stack-config.ts";
import { type Caches, caches, type Login } from "./caches.ts";
import type {
  ClientData,
  ClientOptions,
  ModuleOptions,
  NixosCacheArgs,
  ServerData,
  ServerOptions,
} from "./nixos-cache-args.ts";
import type { ClientSettings, ServerSettings } from "./settings.ts";

/**
 * Caches for a home: machines that serve their stores over SSH, and machines that fetch from them, with the settings of the stack
 * file as arguments. It looks at the machines and repairs what has drifted, as the program in the repository does.
 *
 * The components that it makes have the machines' names, so a stack has one NixosCache for a machine in a role.
 *
 * @example
 * new NixosCache("home", {
 *   servers: { kalaw: { connection: { host: "kalaw.lan", hostKey: "ssh-ed25519 AAAA…" } } },
 *   clients: { pai: { connection: { host: "pai.lan", hostKey: "ssh-ed25519 AAAA…" }, servers: ["kalaw"] } },
 * });
 */
export class NixosCache extends pulumi.ComponentResource {
  /** For each server, what a client in another stack has to know of it. */
  readonly servers: pulumi.Output<{ [name: string]: ServerData }>;
  /** For each client its newest SSH key, and what a server in another stack has to know of it. */
  readonly clients: pulumi.Output<{ [name: string]: ClientData }>;
  /** For each machine, its `services.nixos-cache`, to import where its owner deploys it. */
  readonly settings: pulumi.Output<{ [name: string]: ModuleOptions }>;

  /** @throws pulumi.InputPropertiesError with a line for every argument that is wrong */
  constructor(name: string, args: NixosCacheArgs, opts?: pulumi.ComponentResourceOptions) {
    const { config, login } = checked(name, args);
    super("nixos-cache:index:NixosCache", name, {}, opts);
    const made = caches(config, login, this);
    this.servers = pulumi.output(made.then(serversOf));
    this.clients = pulumi.output(made.then(clientsOf));
    this.settings = pulumi.output(made.then(settingsOf));
    // Before they are known: it is what the engine waits for while the machines are looked at.
    this.registerOutputs({
      servers: this.servers,
      clients: this.clients,
      settings: this.settings,
    });
  }
}

function serversOf({ servers }: Caches) {
  return pulumi.all(
    Object.fromEntries(
      [...servers].map(([name, { data, keyCreated }]) => [
        name,
        pulumi.all([data, keyCreated]).apply(
          ([data, keyCreated]): ServerData => ({
            ...data,
            keyCreated,
            authorizedKeys: data.authorizedKeys ?? [],
          }),
        ),
      ]),
    ),
  );
}

function clientsOf({ clients }: Caches) {
  return pulumi.all(
    Object.fromEntries(
      [...clients].map(([name, { publicKey, fingerprint, keyCreated, data }]) => [
        name,
        pulumi.all([data, publicKey, fingerprint, keyCreated]).apply(
          ([{ publicKeys, trusts = {} }, publicKey, fingerprint, keyCreated]): ClientData => ({
            publicKey,
            fingerprint,
            keyCreated,
            publicKeys,
            trusts,
          }),
        ),
      ]),
    ),
  );
}

function settingsOf({ servers, clients }: Caches) {
  const names = [...new Set([...servers.keys(), ...clients.keys()])];
  return pulumi.all(
    Object.fromEntries(
      names.map((name) => [
        name,
        pulumi.all([servers.get(name)?.settings, clients.get(name)?.settings]).apply(
          ([server, client]): ModuleOptions => ({
            ...(server !== undefined && { server: serverOptions(server) }),
            ...(client !== undefined && { client: clientOptions(client) }),
          }),
        ),
      ]),
    ),
  );
}

function serverOptions({ warm, ...server }: ServerSettings): ServerOptions {
  return {
    enable: true,
    ...server,
    ...(warm !== undefined && { warm: withoutNull({ ...warm, systems: [...warm.systems] }) }),
  };
}

function clientOptions({ servers }: ClientSettings): ClientOptions {
  const options = Object.entries(servers).map(([name, server]) => [name, withoutNull(server)]);
  return { servers: Object.fromEntries(options) };
}

type WithoutNull<T> = { [K in keyof T as null extends T[K] ? never : K]: T[K] } & {
  [K in keyof T as null extends T[K] ? K : never]?: NonNullable<T[K]>;
};

/** Other languages' types have no value that may be null; the module's default is the same. */
function withoutNull<T extends object>(options: T): WithoutNull<T> {
  const given = Object.entries(options).filter(([, value]) => value !== null);
  return Object.fromEntries(given) as WithoutNull<T>;
}

/** Settings and login, the latter secret whether or not it was given as one. */
function checked(component: string, args: NixosCacheArgs) {
  // A program that is not type-checked may pass none.
  const { privateKey, privateKeyPassword, ...values }: Partial<NixosCacheArgs> = args ?? {};
  const mistakes = outputsIn(values, []).map((path) => ({
    propertyPath: path.join("."),
    reason: "is an Output: write its value, for machines are looked at before anything is declared",
  }));
  if (mistakes.length > 0) throw inputError(component, mistakes);
  const login: Login = {
    ...(privateKey !== undefined && { privateKey: pulumi.secret(privateKey) }),
    ...(privateKeyPassword !== undefined && {
      privateKeyPassword: pulumi.secret(privateKeyPassword),
    }),
  };
  try {
    return { config: parseProgramConfig(values), login };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    throw inputError(component, error.message.split("\n").map(mistake));
  }
}

type Mistake = pulumi.InputPropertyErrorDetails;

function inputError(component: string, errors: Mistake[]): pulumi.InputPropertiesError {
  const lines = errors.map(({ propertyPath, reason }) => `${component}: ${propertyPath} ${reason}`);
  return new pulumi.InputPropertiesError({ message: lines.join("\n"), errors });
}

/** Of a line about a setting: its name, which is the argument's after the prefix, and the rest. */
function mistake(line: string): Mistake {
  const [setting = "", ...words] = line.split(" ");
  return { propertyPath: setting.slice(`${namespace}:`.length), reason: words.join(" ") };
}

function outputsIn(value: unknown, path: string[]): string[][] {
  if (pulumi.Output.isInstance(value) || value instanceof Promise) return [path];
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) => outputsIn(inner, [...path, key]));
}
