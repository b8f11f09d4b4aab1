import * as pulumi from "@pulumi/pulumi";
import { beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { CacheClient } from "../../components/cache-client.ts";
import { CacheServer } from "../../components/cache-server.ts";
import {
  agentScript,
  installAgent,
  moduleVersion,
  packed,
  removeAgent,
} from "../../machine/agent.ts";
import type { Drift, Part } from "../../machine/drift.ts";

const hostKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINFeRaPGyeUfO/zbdjrsARlJWOwFOy38RuyB7a/r1WIP";
const agent = "/var/lib/nixos-cache/agent";

interface Registered {
  type: string;
  name: string;
  inputs: Record<string, unknown>;
  /** The names of the inputs that reached the engine marked as secret. */
  secrets: string[];
}
let registered: Registered[] = [];
/** Mocks see no options, a transformation does. */
let options: Map<string, pulumi.ResourceOptions & pulumi.CustomResourceOptions>;

beforeAll(() =>
  pulumi.runtime.setMocks(
    {
      newResource({ type, name, inputs }) {
        const plain = Object.entries<unknown>(inputs);
        registered.push({
          type,
          name,
          inputs: Object.fromEntries(plain.map(([key, value]) => [key, revealed(value)])),
          secrets: plain.flatMap(([key, value]) => (isSecret(value) ? [key] : [])),
        });
        const output = type === "pulumi:index:Stash" ? { output: inputs.input } : {};
        return { id: `${name}-id`, state: { ...inputs, ...output } };
      },
      call: ({ inputs }) => inputs,
    },
    "nixos-cache",
    "test",
    false,
  ),
);

/** How a secret looks on its way to the engine (Pulumi's SDKs, `specialSigKey` and `specialSecretSig`). */
const isSecret = (value: unknown): value is { value: unknown } =>
  typeof value === "object" &&
  value !== null &&
  Reflect.get(value, "4dabf18193072939515e22adb298388d") === "1b47061264138c4ac30d75fd1eb44270";
const revealed = (value: unknown) => (isSecret(value) ? value.value : value);

beforeEach(() => {
  registered = [];
  options = new Map();
});

const record: pulumi.ComponentResourceOptions = {
  transformations: [
    ({ name, props, opts }) => {
      options.set(name, opts);
      return { props, opts };
    },
  ],
};

function kalawAndPai(): { kalaw: CacheServer; pai: CacheClient } {
  const kalaw = new CacheServer(
    "kalaw",
    {
      connection: {
        host: "192.0.2.1",
        hostKey: `${hostKey} root@kalaw`,
        privateKey: pulumi.secret("operator's key"),
      },
    },
    record,
  );
  const pai = new CacheClient(
    "pai",
    { connection: { host: "192.0.2.2", port: 2222, hostKey }, server: kalaw, priority: 30 },
    record,
  );
  return { kalaw, pai };
}

/** Everything that the components registered, once all of it has arrived. */
async function resources(): Promise<Map<string, Registered>> {
  const names = () => registered.map(({ name }) => name).sort();
  await vi.waitFor(() => expect(names()).toEqual([...options.keys()].sort()), 10_000);
  return new Map(registered.map((resource) => [resource.name, resource]));
}

const value = <T>(output: pulumi.Output<T>) =>
  new Promise<T>((resolve) => {
    output.apply(resolve);
  });

const dependencies = async (name: string) => {
  const on = [options.get(name)?.dependsOn ?? []].flat() as pulumi.Resource[];
  return Promise.all(on.map(async (resource) => (await value(resource.urn)).split("::").at(-1)));
};

const inputs = async (name: string) => (await resources()).get(name)?.inputs;

describe("one server and one client", () => {
  test("register exactly these resources", async () => {
    kalawAndPai();
    const types = [...(await resources()).values()].map(({ type, name }) => `${name} ${type}`);
    expect(types.sort()).toEqual([
      "kalaw nixos-cache:index:CacheServer",
      "kalaw-agent command:remote:Command",
      "kalaw-confirm command:remote:Command",
      "kalaw-settings command:remote:Command",
      "kalaw-signing command:remote:Command",
      "kalaw-signing-key pulumi:index:Stash",
      "pai nixos-cache:index:CacheClient",
      "pai-access-kalaw command:remote:Command",
      "pai-agent command:remote:Command",
      "pai-authorization-kalaw command:remote:Command",
      "pai-confirm command:remote:Command",
      "pai-identity command:remote:Command",
      "pai-key pulumi:index:Stash",
      "pai-settings command:remote:Command",
    ]);
  });

  test("no host has more commands than it needs: four for its part, and two a client on the server", async () => {
    const { kalaw } = kalawAndPai();
    for (let i = 0; i < 10; i++) {
      new CacheClient(
        `desk-${i}`,
        {
          connection: { host: `192.0.2.${i + 3}`, hostKey },
          server: kalaw,
        },
        record,
      );
    }
    const hosts = [...(await resources()).values()]
      .filter(({ type }) => type === "command:remote:Command")
      .map(({ inputs }) => (inputs.connection as { host: string }).host);
    const count = (host: string) => hosts.filter((other) => other === host).length;
    expect(count("192.0.2.1")).toBe(4 + 2 * 11);
    expect(count("192.0.2.2")).toBe(4);
    expect(count("192.0.2.9")).toBe(4);
  });

  test("the helper comes whole, by one command and its text on stdin", async () => {
    kalawAndPai();
    expect(await inputs("kalaw-agent")).toEqual({
      connection: {
        host: "192.0.2.1",
        port: 22,
        user: "root",
        hostKey: `${hostKey} root@kalaw`,
        privateKey: "operator's key",
        dialErrorLimit: 5,
        perDialTimeout: 5,
      },
      create: installAgent(agentScript()),
      update: installAgent(agentScript()),
      delete: removeAgent,
      stdin: packed(agentScript()),
      addPreviousOutputInEnv: false,
    });
  });

  test("the server's steps", async () => {
    const { kalaw } = kalawAndPai();
    const publicKey = await value(kalaw.trustedPublicKey);
    const keyName = publicKey.split(":")[0];
    expect(await inputs("kalaw-signing")).toMatchObject({
      create: `${agent} signing-key ${keyName}`,
      update: `${agent} signing-key ${keyName}`,
      delete: `${agent} remove-signing-key ${keyName}`,
      stdin: expect.stringMatching(`^${keyName}:[A-Za-z0-9+/]{86}==$`),
      triggers: [keyName],
    });
    const settings = await inputs("kalaw-settings");
    expect(settings).toMatchObject({
      create: `${agent} settings server`,
      update: `${agent} settings server`,
      delete: `${agent} remove-settings server`,
    });
    expect(settings).not.toHaveProperty("triggers");
    expect(JSON.parse(String(settings?.stdin))).toEqual({
      module: moduleVersion,
    });
  });

  test("what is written is confirmed with the same text, and nothing is left of that", async () => {
    kalawAndPai();
    for (const [name, role] of [
      ["kalaw", "server"],
      ["pai", "client"],
    ]) {
      const confirm = await inputs(`${name}-confirm`);
      expect(confirm).toMatchObject({
        create: `${agent} confirm ${role}`,
        update: `${agent} confirm ${role}`,
        stdin: (await inputs(`${name}-settings`))?.stdin,
      });
      expect(confirm).not.toHaveProperty("delete");
    }
  });

  test("the client's steps", async () => {
    const { kalaw, pai } = kalawAndPai();
    const publicKey = await value(pai.publicKey);
    const authorization = await inputs("pai-authorization-kalaw");
    const file = String(authorization?.create).split(" ").at(-1);
    expect(file).toMatch(/^pai-[\w-]{43}$/);
    expect(authorization).toMatchObject({
      connection: { host: "192.0.2.1" },
      create: `${agent} authorize ${file}`,
      delete: `${agent} revoke pai`,
      stdin: `${publicKey}\n`,
    });
    expect(await inputs("pai-access-kalaw")).toMatchObject({
      connection: { host: "192.0.2.1" },
      create: `${agent} in-use ${file}`,
      delete: `${agent} revoke pai`,
      stdin: `${publicKey}\n`,
    });
    const identity = await inputs("pai-identity");
    expect(identity).toMatchObject({
      connection: { host: "192.0.2.2", port: 2222 },
      create: `${agent} identity`,
      delete: `${agent} remove-identity`,
      stdin: expect.stringMatching(
        /^kalaw 22 ssh-ed25519 \S+\n\n-----BEGIN OPENSSH PRIVATE KEY-----\n[^-]+\n-----END OPENSSH PRIVATE KEY-----\n$/,
      ),
    });
    expect(identity).not.toHaveProperty("triggers");
    expect(JSON.parse(String((await inputs("pai-settings"))?.stdin))).toEqual({
      module: moduleVersion,
      servers: {
        kalaw: {
          address: "kalaw",
          port: 22,
          hostKey,
          trustedPublicKeys: [await value(kalaw.trustedPublicKey)],
          priority: 30,
        },
      },
    });
  });

  test("run in this order: the server serves and is known to, then the client has its key, then it is told to fetch, then its older keys go", async () => {
    kalawAndPai();
    await resources();
    expect(await dependencies("kalaw-signing")).toEqual(["kalaw-agent"]);
    expect(await dependencies("kalaw-settings")).toEqual(["kalaw-agent", "kalaw-signing"]);
    expect(await dependencies("kalaw-confirm")).toEqual(["kalaw-agent", "kalaw-settings"]);
    expect(await dependencies("pai-authorization-kalaw")).toEqual(["kalaw-agent"]);
    expect(await dependencies("pai-identity")).toEqual([
      "pai-agent",
      "pai-authorization-kalaw",
      "kalaw-confirm",
    ]);
    expect(await dependencies("pai-settings")).toEqual(["pai-agent", "pai-identity"]);
    expect(await dependencies("pai-confirm")).toEqual(["pai-agent", "pai-settings"]);
    expect(await dependencies("pai-access-kalaw")).toEqual(["kalaw-agent", "pai-confirm"]);
  });

  test("keep their keys until the rotation changes", async () => {
    kalawAndPai();
    await resources();
    for (const name of ["kalaw-signing-key", "pai-key"]) {
      expect(options.get(name)).toMatchObject({
        ignoreChanges: ["input"],
        replacementTrigger: "1",
      });
    }
  });

  test("are children of their component", async () => {
    const { kalaw, pai } = kalawAndPai();
    await resources();
    for (const [name, { parent }] of options) {
      if (name.startsWith("kalaw-")) expect(parent).toBe(kalaw);
      if (name.startsWith("pai-")) expect(parent).toBe(pai);
    }
  });

  test("public halves are public, private halves are secret", async () => {
    const { kalaw, pai } = kalawAndPai();
    for (const output of [kalaw.trustedPublicKey, kalaw.hostKey, pai.publicKey, pai.fingerprint]) {
      expect(await pulumi.isSecret(output)).toBe(false);
    }
    const secrets = [...(await resources()).values()].map(({ name, secrets }) => [name, secrets]);
    // The plugin's SDK makes every connection secret as a whole.
    expect(Object.fromEntries(secrets)).toEqual({
      kalaw: [],
      "kalaw-signing-key": ["input"],
      "kalaw-agent": ["connection"],
      "kalaw-signing": ["connection", "stdin"],
      "kalaw-settings": ["connection"],
      "kalaw-confirm": ["connection"],
      pai: [],
      "pai-key": ["input"],
      "pai-access-kalaw": ["connection"],
      "pai-agent": ["connection"],
      "pai-authorization-kalaw": ["connection"],
      "pai-identity": ["connection", "stdin"],
      "pai-settings": ["connection"],
      "pai-confirm": ["connection"],
    });
  });
});

test("a client of two caches is authorized on both and knows both", async () => {
  const { kalaw } = kalawAndPai();
  const nas = new CacheServer(
    "nas",
    { connection: { host: "192.0.2.3", hostKey }, port: 2200 },
    record,
  );
  new CacheClient(
    "desk",
    { connection: { host: "192.0.2.4", hostKey }, server: [kalaw, nas] },
    record,
  );
  const all = await resources();
  expect(all.get("desk-authorization-kalaw")?.inputs.connection).toMatchObject({
    host: "192.0.2.1",
  });
  expect(all.get("desk-authorization-nas")?.inputs.connection).toMatchObject({ host: "192.0.2.3" });
  const { servers } = JSON.parse(String(all.get("desk-settings")?.inputs.stdin));
  expect(Object.keys(servers)).toEqual(["kalaw", "nas"]);
  expect(servers.nas).toMatchObject({ address: "nas", port: 2200, priority: null });
  expect(all.get("desk-identity")?.inputs.stdin).toMatch(
    /^kalaw 22 ssh-ed25519 \S+\nnas 2200 ssh-ed25519 \S+\n\n-----BEGIN/,
  );
});

test("a client that is gone loses its access, and its machine is left alone", async () => {
  const { kalaw } = kalawAndPai();
  new CacheClient(
    "lost",
    { connection: { host: "192.0.2.5", hostKey }, server: kalaw, gone: true },
    record,
  );
  const lost = [...(await resources()).keys()].filter((name) => name.startsWith("lost-"));
  expect(lost.sort()).toEqual(["lost-agent", "lost-identity", "lost-key", "lost-settings"]);
  for (const name of ["lost-agent", "lost-identity", "lost-settings"]) {
    expect(options.get(name)).toMatchObject({ retainOnDelete: true, ignoreChanges: ["*"] });
  }
});

describe("drift", () => {
  const because = (words: string) => ` --because '${words} (2026-11-23T00:40:12Z)'`;
  const drift = (...parts: [Part, string][]): Drift =>
    new Map(parts.map(([part, words]) => [part, `${words} (2026-11-23T00:40:12Z)`]));

  function home(ofKalaw: Drift, ofPai: Drift = new Map()) {
    const connection = { host: "192.0.2.1", hostKey };
    const kalaw = new CacheServer("kalaw", { connection, drift: ofKalaw }, record);
    new CacheClient("pai", { connection, server: kalaw, drift: ofPai }, record);
  }

  /** The commands that are given a reason, with what stands after their `update`. */
  async function reasons(): Promise<Record<string, string>> {
    const commands = [...(await resources()).values()].filter(({ type }) =>
      type.startsWith("command:"),
    );
    return Object.fromEntries(
      commands.flatMap(({ name, inputs: { create, update } }) => {
        const reason = String(create).slice(String(update).length);
        expect(create).toBe(`${update}${reason}`);
        // What has a reason shows it as a change; what has none shows no change, whatever it was before.
        expect(options.get(name)?.ignoreChanges).toEqual(reason === "" ? ["create"] : undefined);
        return reason === "" ? [] : [[name, reason]];
      }),
    );
  }

  test("where there is none, no command has a reason", async () => {
    kalawAndPai();
    expect(await reasons()).toEqual({});
  });

  test.each<[Part, string[]]>([
    ["settings server", ["kalaw-confirm", "kalaw-settings"]],
    ["signing", ["kalaw-signing"]],
    ["agent", ["kalaw-agent"]],
    ["authorization pai", ["pai-authorization-kalaw"]],
    ["authorization desk", []],
    ["settings client", []],
    [
      "everything",
      [
        "kalaw-agent",
        "kalaw-confirm",
        "kalaw-settings",
        "kalaw-signing",
        "pai-access-kalaw",
        "pai-authorization-kalaw",
      ],
    ],
  ])("of a server in %s: these steps are taken again, with the reason", async (part, names) => {
    home(drift([part, "changed by hand"]));
    expect(await reasons()).toEqual(
      Object.fromEntries(names.map((name) => [name, because("changed by hand")])),
    );
  });

  test("of a client, and of two parts", async () => {
    home(new Map(), drift(["settings client", "a"], ["identity", "b"]));
    expect(await reasons()).toEqual({
      "pai-settings": because("a"),
      "pai-confirm": because("a"),
      "pai-identity": because("b"),
    });
  });

  test("no reason gets out of its quotes", async () => {
    home(new Map([["signing", "x'; touch /pwned; echo '$(id)`id`"]]));
    expect(await reasons()).toEqual({
      "kalaw-signing": " --because 'x touch /pwned echo (id)id'",
    });
  });
});

test("a user who is not root runs every command by sudo", async () => {
  const connection = { host: "192.0.2.1", hostKey, user: "me" };
  new CacheServer("kalaw", { connection, drift: new Map([["agent", "why"]]) }, record);
  const all = await resources();
  expect(all.get("kalaw-agent")?.inputs).toMatchObject({
    create: `sudo -n ${installAgent(agentScript())} --because 'why'`,
    update: `sudo -n ${installAgent(agentScript())}`,
    delete: `sudo -n ${removeAgent}`,
  });
  for (const name of ["kalaw-signing", "kalaw-settings"]) {
    for (const command of ["create", "update", "delete"]) {
      expect(all.get(name)?.inputs[command]).toMatch(new RegExp(`^sudo -n ${agent} `));
    }
  }
});

test("a machine's options are in its helper", async () => {
  const options = {
    rebuild: { from: "flake", attribute: "kalaw-2" },
    confirmWithin: 90,
    onlyOurs: true,
  } as const;
  new CacheServer("kalaw", { connection: { host: "192.0.2.1", hostKey }, ...options }, record);
  expect(await inputs("kalaw-agent")).toMatchObject({
    create: installAgent(agentScript(options)),
    stdin: packed(agentScript(options)),
  });
});

test("a client without a server is refused at once", () => {
  expect(
    () => new CacheClient("lost", { connection: { host: "192.0.2.5", hostKey }, server: [] }),
  ).toThrow("client lost has no server: pass the CacheServer that it fetches from");
});
