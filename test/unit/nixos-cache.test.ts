import * as pulumi from "@pulumi/pulumi";
import { beforeAll, beforeEach, expect, test } from "vitest";
import { NixosCache } from "../../components/nixos-cache.ts";
import type { NixosCacheArgs } from "../../components/nixos-cache-args.ts";
import { mockEngine } from "./mock-engine.ts";

const hostKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINFeRaPGyeUfO/zbdjrsARlJWOwFOy38RuyB7a/r1WIP";
const otherKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDtlVd4wkYYnwPmlnRHqbZ8F3J5ohlL7bRSFh4tpZTmG";

let registered: pulumi.runtime.MockResourceArgs[] = [];
beforeAll(() => mockEngine((resource) => void registered.push(resource)));
beforeEach(() => {
  registered = [];
});

const args: NixosCacheArgs = {
  servers: { kalaw: { connection: { host: "192.0.2.1", hostKey } } },
  clients: {
    pai: { connection: { host: "192.0.2.2", hostKey: otherKey }, servers: ["kalaw"], priority: 30 },
  },
  privateKey: "operator's key",
  observe: false,
};

const value = <T>(output: pulumi.Output<T>) =>
  new Promise<T>((resolve) => {
    output.apply(resolve);
  });

test("it declares the components of the settings below itself, and puts out what they do", async () => {
  const cache = new NixosCache("home", args);
  expect(await value(cache.servers)).toEqual({
    kalaw: {
      name: "kalaw",
      address: "kalaw",
      port: 22,
      hostKey,
      trustedPublicKey: expect.stringMatching(/^kalaw-/),
      keyCreated: expect.any(String),
      authorizedKeys: [],
    },
  });
  const { pai } = await value(cache.clients);
  expect(pai?.publicKeys).toEqual([pai?.publicKey]);
  expect(await value(cache.settings)).toEqual({
    kalaw: { server: { enable: true, onlyOurKeys: false } },
    pai: {
      client: { servers: { kalaw: { address: "kalaw", port: 22, hostKey, priority: 30 } } },
    },
  });
  for (const type of ["NixosCache", "CacheServer", "CacheClient"]) {
    expect(registered.map((resource) => resource.type)).toContain(`nixos-cache:index:${type}`);
  }
  expect(registered.find(({ name }) => name === "home")?.inputs).toEqual({});
});

test("without a priority none is put out, for other languages' numbers are never null", async () => {
  const { clients = {} } = structuredClone(args);
  delete clients.pai?.priority;
  const settings = await value(new NixosCache("home", { ...args, clients }).settings);
  expect(settings.pai?.client?.servers.kalaw).not.toHaveProperty("priority");
});

test("the operator's key is secret, though it was given as text", async () => {
  await value(new NixosCache("home", args).servers);
  const commands = registered.filter(({ type }) => type === "command:remote:CopyToRemote");
  expect(commands).not.toEqual([]);
  for (const { inputs } of commands) {
    // How a secret looks on its way to the engine (Pulumi's SDKs, `specialSigKey` and `specialSecretSig`).
    expect(inputs.connection).toHaveProperty("4dabf18193072939515e22adb298388d");
  }
});

test.each<[string, object, string[]]>([
  [
    "a server that is none",
    { clients: { pai: { ...args.clients?.pai, servers: ["kalow"] } } },
    ['home: clients.pai.servers[0] names "kalow", which is no server: write one of kalaw'],
  ],
  ["an argument that is none", { server: {} }, ["home: server is no setting: write one of"]],
  [
    "text for a yes",
    { observe: "false" },
    ["home: observe is neither true nor false: write one of them, and no text"],
  ],
  [
    "an Output",
    { servers: { kalaw: { connection: { host: pulumi.output("h"), hostKey } } } },
    ["home: servers.kalaw.connection.host is an Output: write its value"],
  ],
  [
    "two mistakes",
    { rotateEvery: "soon", plan: 1 },
    [
      "home: rotateEvery is no period: write a number of days, like 90d",
      "home: plan is neither true nor false",
    ],
  ],
  [
    "an empty group",
    { servers: {}, clients: {} },
    ["home: servers is empty: write at least one server"],
  ],
])("%s is refused by its name", (_, wrong, words) => {
  const make = () => new NixosCache("home", { ...args, ...wrong } as NixosCacheArgs);
  for (const text of words) expect(make).toThrow(text);
  expect(registered).toEqual([]);
});
