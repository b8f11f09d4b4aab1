import * as pulumi from "@pulumi/pulumi";
import { afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { CacheClient, type CacheClientArgs } from "../../components/cache-client.ts";
import { CacheServer } from "../../components/cache-server.ts";
import type { Drift, Part } from "../../machine/drift.ts";
import {
  callHelper,
  callHelperToUndo,
  helperChecksums,
  helperFolders,
  moduleVersion,
} from "../../machine/helper.ts";
import { mockEngine } from "./mock-engine.ts";

const hostKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINFeRaPGyeUfO/zbdjrsARlJWOwFOy38RuyB7a/r1WIP";

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
  mockEngine(({ type, name, inputs }) => {
    const plain = Object.entries<unknown>(inputs);
    registered.push({
      type,
      name,
      inputs: Object.fromEntries(plain.map(([key, value]) => [key, revealed(value)])),
      secrets: plain.flatMap(([key, value]) => (isSecret(value) ? [key] : [])),
    });
  }),
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
// What arrives late must not be taken for the next test's.
afterEach(() => resources());

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
    {
      connection: { host: "192.0.2.2", port: 2222, hostKey },
      server: kalaw,
      priority: 30,
      protocol: "ssh-ng",
    },
    record,
  );
  return { kalaw, pai };
}

/** Everything that the components registered, once all of it has arrived. */
async function resources(): Promise<Map<string, Registered>> {
  await vi.waitFor(() => {
    const missing = new Set(options.keys());
    for (const { name } of registered) missing.delete(name);
    if (missing.size > 0) throw new Error(`not registered: ${[...missing].join(", ")}`);
  }, 10_000);
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

const ofKalaw = "--owner 'organization/nixos-cache/test kalaw'";
const ofPai = "--owner 'organization/nixos-cache/test pai'";
const ofPaiAtKalaw = "--owner 'organization/nixos-cache/test pai@kalaw'";

/** A step as it is without drift: the same words, whether it is new or changed. */
function run(words: string, owner: string): { create: string; update: string } {
  const call = callHelper(`${words} ${owner}`);
  return { create: call, update: call };
}

describe("one server and one client", () => {
  test("register exactly these resources", async () => {
    kalawAndPai();
    const types = [...(await resources()).values()].map(({ type, name }) => `${name} ${type}`);
    expect(types.sort()).toEqual([
      "kalaw nixos-cache:index:CacheServer",
      "kalaw-helper command:remote:CopyToRemote",
      "kalaw-settings command:remote:Command",
      "kalaw-signing command:remote:Command",
      "kalaw-signing-key pulumi:index:Stash",
      "pai nixos-cache:index:CacheClient",
      "pai-access-kalaw command:remote:Command",
      "pai-authorization-kalaw command:remote:Command",
      "pai-helper command:remote:CopyToRemote",
      "pai-identity command:remote:Command",
      "pai-key pulumi:index:Stash",
      "pai-settings command:remote:Command",
    ]);
  });

  test("no host has more connections than it needs: three for its part, and two a client on the server", async () => {
    const { kalaw } = kalawAndPai();
    for (let i = 0; i < 10; i++) {
      const connection = { host: `192.0.2.${i + 3}`, hostKey };
      new CacheClient(`desk-${i}`, { connection, server: kalaw }, record);
    }
    const hosts = [...(await resources()).values()]
      .filter(({ type }) => type.startsWith("command:remote:"))
      .map(({ inputs }) => (inputs.connection as { host: string }).host);
    const count = (host: string) => hosts.filter((other) => other === host).length;
    expect(count("192.0.2.1")).toBe(3 + 2 * 11);
    expect(count("192.0.2.2")).toBe(3);
    expect(count("192.0.2.9")).toBe(3);
  }, 20_000);

  test("the helper comes as files by their paths, for the state is to have their hash alone", async () => {
    kalawAndPai();
    const { source, ...others } = (await inputs("kalaw-helper")) ?? {};
    expect(others).toEqual({
      connection: {
        host: "192.0.2.1",
        port: 22,
        user: "root",
        hostKey: `${hostKey} root@kalaw`,
        privateKey: "operator's key",
        dialErrorLimit: 5,
        perDialTimeout: 5,
      },
      remotePath: "/var/lib/nixos-cache/helper",
    });
    const files = await (source as pulumi.asset.AssetArchive).assets;
    expect(Object.keys(files).sort()).toEqual(["SHA256SUMS", "nixos", "steps"]);
    for (const [name, folder] of Object.entries(helperFolders)) {
      expect(await Reflect.get(files[name] ?? {}, "path")).toBe(folder);
    }
    expect(await Reflect.get(files.SHA256SUMS ?? {}, "text")).toBe(helperChecksums);
  });

  test("the server's steps", async () => {
    const { kalaw } = kalawAndPai();
    const [keyName] = (await value(kalaw.trustedPublicKey)).split(":");
    expect(await inputs("kalaw-settings")).toEqual({
      connection: expect.anything(),
      ...run(`settings server --module ${moduleVersion}`, ofKalaw),
      delete: callHelperToUndo(`remove-settings server ${ofKalaw}`),
      stdin: '{"onlyOurKeys":false}\n',
      addPreviousOutputInEnv: false,
    });
    expect(await inputs("kalaw-signing")).toEqual({
      connection: expect.anything(),
      ...run(`signing ${keyName} --module ${moduleVersion}`, ofKalaw),
      delete: callHelperToUndo(`remove-signing ${keyName} ${ofKalaw}`),
      stdin: expect.stringMatching(
        new RegExp(`^{"onlyOurKeys":false}\n${keyName}:[A-Za-z0-9+/]{86}==$`),
      ),
      triggers: [keyName],
      addPreviousOutputInEnv: false,
    });
  });

  test("the client's steps", async () => {
    const { kalaw } = kalawAndPai();
    const trusted = await value(kalaw.trustedPublicKey);
    const settings =
      `{"servers":{"kalaw":{"address":"kalaw","hostKey":"${hostKey}","port":22,` +
      '"priority":30,"protocol":"ssh-ng"}}}\n';
    expect(await inputs("pai-settings")).toEqual({
      connection: expect.objectContaining({ host: "192.0.2.2", port: 2222 }),
      ...run(`settings client --module ${moduleVersion}`, ofPai),
      delete: callHelperToUndo(`remove-settings client ${ofPai}`),
      stdin: settings,
      addPreviousOutputInEnv: false,
    });
    const identity = await inputs("pai-identity");
    expect(identity).toEqual({
      connection: expect.objectContaining({ host: "192.0.2.2", port: 2222 }),
      ...run(`identity --module ${moduleVersion}`, ofPai),
      delete: callHelperToUndo(`remove-identity ${ofPai}`),
      stdin: expect.stringContaining(`${settings}kalaw 22 ${hostKey} ${trusted}\n\n-----BEGIN`),
      addPreviousOutputInEnv: false,
    });
    expect(identity?.stdin).toMatch(
      /\n\n-----BEGIN PRIVATE KEY-----\n[^-]+\n-----END PRIVATE KEY-----\n$/,
    );
  });

  test("the client's steps on the server", async () => {
    const { kalaw, pai } = kalawAndPai();
    const publicKey = await value(pai.publicKey);
    const [keyName] = (await value(kalaw.trustedPublicKey)).split(":");
    for (const [name, step] of [
      ["pai-authorization-kalaw", "authorize"],
      ["pai-access-kalaw", `access ${keyName}`],
    ] as const) {
      expect(await inputs(name)).toEqual({
        connection: expect.objectContaining({ host: "192.0.2.1" }),
        ...run(step, ofPaiAtKalaw),
        delete: callHelperToUndo(`revoke ${ofPaiAtKalaw}`),
        stdin: `${publicKey}\n`,
        addPreviousOutputInEnv: false,
      });
    }
  });

  test("what confirms a rebuild goes on dialling for as long as the machine may take to go back", async () => {
    kalawAndPai();
    new CacheServer(
      "nas",
      { connection: { host: "192.0.2.3", hostKey }, confirmWithin: 600 },
      record,
    );
    const dials = async (name: string) =>
      Number(Reflect.get((await inputs(name))?.connection ?? {}, "dialErrorLimit"));
    // The pause after each dial is half as long again as the one before, from 0.1 s to 5 s: the plugin's rule.
    const patience = (dials: number) =>
      Array.from({ length: dials }, (_, i) => Math.min(0.1 * 1.5 ** i, 5)).reduce((a, b) => a + b);
    for (const [name, confirmWithin] of [
      ["kalaw-signing", 60],
      ["pai-identity", 60],
      ["nas-signing", 600],
    ] as const) {
      const seconds = patience(await dials(name));
      expect(seconds).toBeGreaterThanOrEqual(confirmWithin + 20);
      expect(seconds).toBeLessThan(confirmWithin + 26);
    }
    for (const name of ["kalaw-settings", "pai-settings", "pai-access-kalaw", "nas-helper"]) {
      expect(await dials(name)).toBe(5);
    }
  });

  test("run in this order: the server serves, the client is let in, reads with its key, and its older keys go", async () => {
    kalawAndPai();
    await resources();
    expect(await dependencies("kalaw-helper")).toEqual([]);
    expect(await dependencies("kalaw-settings")).toEqual(["kalaw-helper"]);
    expect(await dependencies("kalaw-signing")).toEqual(["kalaw-helper", "kalaw-settings"]);
    expect(await dependencies("pai-authorization-kalaw")).toEqual([
      "kalaw-helper",
      "kalaw-signing",
    ]);
    expect(await dependencies("pai-helper")).toEqual([]);
    expect(await dependencies("pai-settings")).toEqual(["pai-helper", "kalaw-signing"]);
    expect(await dependencies("pai-identity")).toEqual([
      "pai-helper",
      "pai-settings",
      "pai-authorization-kalaw",
    ]);
    expect(await dependencies("pai-access-kalaw")).toEqual(["kalaw-helper", "pai-identity"]);
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

  test("undone on a machine that is off, none dials for more than half a minute", async () => {
    kalawAndPai();
    for (const { type, name } of (await resources()).values()) {
      if (type.startsWith("command:"))
        expect(options.get(name)?.customTimeouts).toEqual({ delete: "30s" });
    }
  });

  test("are children of their component", async () => {
    const { kalaw, pai } = kalawAndPai();
    await resources();
    const parents = new Map<string, unknown>([
      ["kalaw", kalaw],
      ["pai", pai],
    ]);
    for (const [name, { parent }] of options) {
      const [component = ""] = name.split("-");
      expect(parent, name).toBe(name === component ? undefined : parents.get(component));
    }
  });

  test("public halves are public, private halves are secret", async () => {
    const { kalaw, pai } = kalawAndPai();
    const outputs: pulumi.Output<unknown>[] = [
      kalaw.trustedPublicKey,
      kalaw.hostKey,
      kalaw.keyCreated,
      kalaw.settings,
      kalaw.data,
      pai.data,
      pai.publicKey,
      pai.fingerprint,
      pai.keyCreated,
      pai.settings,
    ];
    for (const output of outputs) expect(await pulumi.isSecret(output)).toBe(false);
    const secrets = [...(await resources()).values()].map(({ name, secrets }) => [name, secrets]);
    // The plugin's SDK makes every connection secret as a whole.
    expect(Object.fromEntries(secrets)).toEqual({
      kalaw: [],
      "kalaw-signing-key": ["input"],
      "kalaw-helper": ["connection"],
      "kalaw-settings": ["connection"],
      "kalaw-signing": ["connection", "stdin"],
      pai: [],
      "pai-key": ["input"],
      "pai-access-kalaw": ["connection"],
      "pai-helper": ["connection"],
      "pai-authorization-kalaw": ["connection"],
      "pai-identity": ["connection", "stdin"],
      "pai-settings": ["connection"],
    });
  });

  test("say what their owners need to deploy, and what another client would need", async () => {
    const { kalaw, pai } = kalawAndPai();
    expect(await value(kalaw.settings)).toEqual({ onlyOurKeys: false });
    const server = { address: "kalaw", port: 22, hostKey, priority: 30, protocol: "ssh-ng" };
    expect(await value(pai.settings)).toEqual({ servers: { kalaw: server } });
    expect(await value(kalaw.address)).toBe("kalaw");
    expect(await value(kalaw.port)).toBe(22);
    expect(await value(pai.fingerprint)).toMatch(/^SHA256:[A-Za-z0-9+/]{43}$/);
  });
});

describe("a server", () => {
  const connection = { host: "192.0.2.3", port: 2022, hostKey };

  test("is at the port that the operator uses, unless clients use another", async () => {
    const nas = new CacheServer("nas", { connection }, record);
    const inside = new CacheServer("inside", { connection, port: 22, address: "in.lan" }, record);
    expect([await value(nas.address), await value(nas.port)]).toEqual(["nas", 2022]);
    expect([await value(inside.address), await value(inside.port)]).toEqual(["in.lan", 22]);
  });

  test("with onlyOurKeys has it in its settings", async () => {
    new CacheServer("nas", { connection, onlyOurKeys: true }, record);
    expect(await inputs("nas-settings")).toMatchObject({ stdin: '{"onlyOurKeys":true}\n' });
    expect((await inputs("nas-signing"))?.stdin).toMatch(/^{"onlyOurKeys":true}\nnas-/);
  });

  test("with warm has it in its settings, with what was left out", async () => {
    const warm = { flake: pulumi.output("/srv/machines"), systems: ["pai"], maxSize: "50G" };
    const nas = new CacheServer("nas", { connection, warm }, record);
    expect(await value(nas.settings)).toEqual({
      onlyOurKeys: false,
      warm: {
        ...{ flake: "/srv/machines", systems: ["pai"], startAt: "daily" },
        ...{ user: null, keep: 3, maxSize: "50G" },
      },
    });
  });
});

test("through a jump host: each connection goes there first, with its host key and the same login", async () => {
  const jump = { host: "gate.lan", user: "me", hostKey: pulumi.output(hostKey) };
  const privateKey = pulumi.secret("operator's key");
  const connection = { host: "192.0.2.3", hostKey, privateKey, jump };
  new CacheServer("nas", { connection }, record);
  for (const name of ["nas-helper", "nas-settings", "nas-signing"]) {
    expect((await inputs(name))?.connection).toMatchObject({
      host: "192.0.2.3",
      proxy: {
        host: "gate.lan",
        port: 22,
        user: "me",
        hostKey,
        privateKey: "operator's key",
        dialErrorLimit: 5,
        perDialTimeout: 5,
      },
    });
  }
});

test("by an agent of another socket, at the jump host too", async () => {
  const jump = { host: "gate.lan", hostKey };
  const connection = { host: "192.0.2.3", hostKey, agentSocket: "/run/agent", jump };
  new CacheServer("nas", { connection }, record);
  const agentSocketPath = "/run/agent";
  expect((await inputs("nas-signing"))?.connection).toMatchObject({
    agentSocketPath,
    proxy: { agentSocketPath },
  });
});

test("a client of two caches is authorized on both and knows both", async () => {
  const { kalaw } = kalawAndPai();
  const nas = new CacheServer(
    "nas",
    { connection: { host: "192.0.2.3", hostKey }, port: 2200 },
    record,
  );
  // Not in the order of their names, in which the settings are written.
  new CacheClient(
    "desk",
    { connection: { host: "192.0.2.4", hostKey }, server: [nas, kalaw] },
    record,
  );
  const all = await resources();
  for (const step of ["authorization", "access"]) {
    const connection = (server: string) => all.get(`desk-${step}-${server}`)?.inputs.connection;
    expect(connection("kalaw")).toMatchObject({ host: "192.0.2.1" });
    expect(connection("nas")).toMatchObject({ host: "192.0.2.3" });
  }
  const text = String(all.get("desk-settings")?.inputs.stdin);
  const { servers } = JSON.parse(text);
  expect(Object.keys(servers)).toEqual(["kalaw", "nas"]);
  expect(servers.kalaw.priority).toBe(1);
  expect(servers.nas).toMatchObject({ address: "nas", port: 2200, priority: 0, protocol: null });
  expect(all.get("desk-identity")?.inputs.stdin).toMatch(
    /^{.*}\nnas 2200 ssh-ed25519 \S+ nas-\S+:\S+\nkalaw 22 ssh-ed25519 \S+ kalaw-\S+:\S+\n\n-----BEGIN/,
  );
  expect(await dependencies("desk-settings")).toEqual([
    "desk-helper",
    "nas-signing",
    "kalaw-signing",
  ]);
  expect(await dependencies("desk-identity")).toEqual([
    "desk-helper",
    "desk-settings",
    "desk-authorization-nas",
    "desk-authorization-kalaw",
  ]);
});

test("a client that is gone loses its access, and its machine is left alone", async () => {
  const { kalaw } = kalawAndPai();
  new CacheClient(
    "lost",
    { connection: { host: "192.0.2.5", hostKey }, server: kalaw, gone: true },
    record,
  );
  const lost = [...(await resources()).keys()].filter((name) => name.startsWith("lost-"));
  expect(lost.sort()).toEqual(["lost-helper", "lost-identity", "lost-key", "lost-settings"]);
  for (const name of ["lost-helper", "lost-identity", "lost-settings"]) {
    expect(options.get(name)).toMatchObject({ retainOnDelete: true, ignoreChanges: ["*"] });
  }
  // Should it turn up again, the key that was out of sight is not used again.
  expect(await value(pulumi.output(options.get("lost-key")?.replacementTrigger))).toBe("1, gone");
});

describe("a client that is away", () => {
  function laptop(taken: string[], changes: Partial<CacheClientArgs> = {}): void {
    const { kalaw } = kalawAndPai();
    const connection = { host: "192.0.2.5", hostKey };
    new CacheClient(
      "desk",
      { connection, server: kalaw, mayBeOff: true, away: true, taken: new Set(taken), ...changes },
      record,
    );
  }
  const desks = async () =>
    [...(await resources()).keys()].filter((name) => name.startsWith("desk-")).sort();

  test("and was never set up: its key is made and authorized, the rest is left for later", async () => {
    laptop([]);
    expect(await desks()).toEqual(["desk-authorization-kalaw", "desk-key"]);
  });

  test("and is set up: its steps stay as they are, and so does what would revoke its older keys", async () => {
    laptop([
      "command:remote:CopyToRemote::desk-helper",
      ...["settings", "identity", "access-kalaw"].map(
        (step) => `command:remote:Command::desk-${step}`,
      ),
    ]);
    const left = ["desk-access-kalaw", "desk-helper", "desk-identity", "desk-settings"];
    expect(await desks()).toEqual([...left, "desk-authorization-kalaw", "desk-key"].sort());
    for (const name of left) {
      expect(options.get(name)).toMatchObject({ ignoreChanges: ["*"] });
      // Taken out of the settings later, it is cleaned up.
      expect(options.get(name)?.retainOnDelete).toBeUndefined();
    }
    expect(options.get("desk-authorization-kalaw")?.ignoreChanges).toEqual(["create"]);
    expect(options.get("desk-key")?.ignoreChanges).toEqual(["input"]);
  });

  test("and is set up in part: what is there stays, and nothing else is tried", async () => {
    laptop([
      "command:remote:CopyToRemote::desk-helper",
      "command:remote:Command::desk-settings",
      // Of another client.
      "command:remote:Command::pai-identity",
    ]);
    expect(await desks()).toEqual([
      "desk-authorization-kalaw",
      "desk-helper",
      "desk-key",
      "desk-settings",
    ]);
    expect(await dependencies("desk-settings")).toEqual(["desk-helper", "kalaw-signing"]);
  });

  test("or gone before it was set up completely: nothing is tried there either", async () => {
    laptop(["command:remote:CopyToRemote::desk-helper"], { away: false, gone: true });
    expect(await desks()).toEqual(["desk-helper", "desk-key"]);
    expect(options.get("desk-helper")).toMatchObject({ retainOnDelete: true });
  });
});

test("the first step that is undone for a client that may be off says what to do if it is", async () => {
  const { kalaw } = kalawAndPai();
  const connection = { host: "192.0.2.5", hostKey };
  new CacheClient("desk", { connection, server: kalaw, mayBeOff: true }, record);
  const undo = async (step: string) => (await inputs(`desk-${step}-kalaw`))?.delete;
  expect(await undo("access")).toContain("revoke --client-may-be-off --owner");
  expect(await undo("authorization")).toContain("revoke --owner");
});

describe("drift", () => {
  const because = (words: string) => `${words} (2026-11-23T00:40:12Z)`;
  const drift = (...parts: [Part, string][]): Drift =>
    new Map(parts.map(([part, words]) => [part, because(words)]));

  function home(ofKalaw: Drift, ofPai: Drift = new Map()) {
    const connection = { host: "192.0.2.1", hostKey };
    const kalaw = new CacheServer("kalaw", { connection, drift: ofKalaw }, record);
    new CacheClient("pai", { connection, server: kalaw, drift: ofPai }, record);
  }

  /** The steps that have a reason to be taken again, with the reason. */
  async function reasons(): Promise<Record<string, string>> {
    const steps = [...(await resources()).values()].filter(({ type }) =>
      type.startsWith("command:"),
    );
    const found = steps.map(({ name, type, inputs }) => {
      const isHelper = type === "command:remote:CopyToRemote";
      const reason = isHelper ? triggerOf(inputs) : wordsOf(inputs);
      // What has a reason shows it as a change; what has none shows no change, whatever it was before.
      const ignored = isHelper ? "triggers" : "create";
      expect(options.get(name)?.ignoreChanges).toEqual(reason === "" ? [ignored] : undefined);
      return [name, reason] as const;
    });
    return Object.fromEntries(found.filter(([, reason]) => reason !== ""));
  }

  function triggerOf({ triggers }: Record<string, unknown>): string {
    expect(triggers).toBeOneOf([undefined, [expect.any(String)]]);
    return triggers === undefined ? "" : (triggers as string[]).join();
  }

  function wordsOf({ create, update }: Record<string, unknown>): string {
    const words = String(create).slice(String(update).length);
    expect(create).toBe(`${update}${words}`);
    if (words === "") return "";
    expect(words).toMatch(/^ --because '[^']+'$/);
    return words.slice(" --because '".length, -1);
  }

  test("where there is none, no step has a reason", async () => {
    kalawAndPai();
    expect(await reasons()).toEqual({});
  });

  const onKalaw = ["kalaw-helper", "kalaw-settings", "kalaw-signing"];
  const onKalawForPai = ["pai-access-kalaw", "pai-authorization-kalaw"];

  test.each<[Part, string[]]>([
    ["helper", ["kalaw-helper"]],
    // What rebuilds the machine, and what confirms the rebuild.
    ["settings server", ["kalaw-settings", "kalaw-signing"]],
    ["keys server", ["kalaw-signing"]],
    ["authorizations", onKalawForPai],
    ["settings client", []],
    ["keys client", []],
    ["everything", [...onKalaw, ...onKalawForPai]],
  ])("of a server in %s: these steps are taken again, with the reason", async (part, names) => {
    home(drift([part, "changed by hand"]));
    expect(await reasons()).toEqual(
      Object.fromEntries(names.map((name) => [name, because("changed by hand")])),
    );
  });

  test.each<[Part, string[]]>([
    ["helper", ["pai-helper"]],
    ["settings client", ["pai-identity", "pai-settings"]],
    ["keys client", ["pai-identity"]],
    ["settings server", []],
    ["keys server", []],
    ["authorizations", []],
    ["everything", ["pai-helper", "pai-identity", "pai-settings"]],
  ])("of a client in %s: these steps are taken again, with the reason", async (part, names) => {
    home(new Map(), drift([part, "changed by hand"]));
    expect(await reasons()).toEqual(
      Object.fromEntries(names.map((name) => [name, because("changed by hand")])),
    );
  });

  test("of two parts: each step has its own reason", async () => {
    home(new Map(), drift(["settings client", "a"], ["keys client", "b"]));
    expect(await reasons()).toEqual({
      "pai-settings": because("a"),
      "pai-identity": because("b"),
    });
  });

  test("no reason gets out of its quotes", async () => {
    home(new Map([["keys server", "x'; touch /pwned; echo '$(id)`id`"]]));
    expect(await reasons()).toEqual({ "kalaw-signing": "x touch /pwned echo (id)id" });
  });

  test("of a client that is gone is left alone", async () => {
    const { kalaw } = kalawAndPai();
    const connection = { host: "192.0.2.5", hostKey };
    const args = { connection, server: kalaw, gone: true, drift: drift(["everything", "x"]) };
    new CacheClient("lost", args, record);
    await resources();
    expect(options.get("lost-settings")).toMatchObject({ ignoreChanges: ["*"] });
  });
});

test("a user who is not root runs every step by sudo, and has the helper in their home", async () => {
  const connection = { host: "192.0.2.1", hostKey, user: "me" };
  const kalaw = new CacheServer("kalaw", { connection }, record);
  new CacheClient("pai", { connection, server: kalaw }, record);
  const all = await resources();
  for (const name of ["kalaw-helper", "pai-helper"]) {
    expect(all.get(name)?.inputs).toMatchObject({
      connection: { user: "me" },
      remotePath: ".nixos-cache-helper",
    });
  }
  expect(all.get("kalaw-settings")?.inputs).toMatchObject({
    create: callHelper(`settings server --module ${moduleVersion} ${ofKalaw}`, "me"),
    delete: callHelperToUndo(`remove-settings server ${ofKalaw}`, "me"),
  });
  for (const { type, inputs } of all.values()) {
    if (type !== "command:remote:Command") continue;
    for (const command of ["create", "update", "delete"]) {
      expect(inputs[command]).toMatch(/^sudo -n sh /);
      expect(inputs[command]).not.toContain("/var/lib/nixos-cache");
    }
  }
});

test("a machine's options are words of the steps that rebuild it, and of no other", async () => {
  const options = {
    rebuild: { by: "pulumi", from: "flake", attribute: "kalaw-2" },
    confirmWithin: 90,
    onlyOurs: true,
    takeOver: true,
  } as const;
  const words =
    "--by pulumi --from flake --attribute 'kalaw-2' --confirm-within 90 --only-ours --take-over";
  const connection = { host: "192.0.2.1", hostKey };
  const kalaw = new CacheServer("kalaw", { connection, ...options }, record);
  new CacheClient("pai", { connection, server: kalaw }, record);
  const [keyName] = (await value(kalaw.trustedPublicKey)).split(":");
  expect(await inputs("kalaw-settings")).toMatchObject({
    ...run(`settings server --module ${moduleVersion} ${words}`, ofKalaw),
    delete: callHelperToUndo(`remove-settings server ${words} ${ofKalaw}`),
  });
  expect(await inputs("kalaw-signing")).toMatchObject({
    ...run(`signing ${keyName} --module ${moduleVersion} ${words}`, ofKalaw),
    delete: callHelperToUndo(`remove-signing ${keyName} ${ofKalaw}`),
  });
  expect(await inputs("pai-authorization-kalaw")).toMatchObject(run("authorize", ofPaiAtKalaw));
});

test("where the owner deploys the settings, the steps say so", async () => {
  const connection = { host: "192.0.2.1", hostKey };
  new CacheServer("kalaw", { connection, rebuild: { by: "owner" } }, record);
  for (const name of ["kalaw-settings", "kalaw-signing"]) {
    expect((await inputs(name))?.update).toContain(` --by owner ${ofKalaw}`);
  }
});

test("options may be Outputs", async () => {
  const connection = { host: "192.0.2.1", hostKey, user: pulumi.output("me") };
  const rebuild = { attribute: pulumi.output("kalaw-2") };
  new CacheServer("kalaw", { connection, rebuild, takeOver: pulumi.output(true) }, record);
  expect((await inputs("kalaw-settings"))?.update).toBe(
    callHelper(
      `settings server --module ${moduleVersion} --attribute 'kalaw-2' --take-over ${ofKalaw}`,
      "me",
    ),
  );
});

test("a client without a server is refused at once", () => {
  const args = { connection: { host: "192.0.2.5", hostKey }, server: [] };
  expect(() => new CacheClient("lost", args, record)).toThrow(
    "lost: server is empty: pass the CacheServer that it fetches from",
  );
});

describe("a server and a client in two stacks", () => {
  const trustedPublicKey = `nas-1:${"A".repeat(43)}=`;
  const nas = { name: "nas", address: "nas.lan", port: 2200, hostKey, trustedPublicKey };
  const clientOf = (server: CacheClientArgs["server"], rest: object = {}) =>
    new CacheClient(
      "desk",
      { connection: { host: "192.0.2.4", hostKey }, server, ...rest },
      record,
    );
  const lines = async () =>
    String((await inputs("desk-identity"))?.stdin)
      .split("\n")
      .slice(1);
  const otherKey =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILi5anq9WZ6nvn6//ZQhbiDTND20Cntc8/zMKvgSs31a";

  test("the client has no steps on the server, which it knows by its data, that may come late", async () => {
    clientOf(pulumi.output(nas));
    expect([...(await resources()).keys()].sort()).toEqual(
      ["desk", "desk-helper", "desk-identity", "desk-key", "desk-settings"].sort(),
    );
    expect(JSON.parse(String((await inputs("desk-settings"))?.stdin)).servers).toEqual({
      nas: { address: "nas.lan", port: 2200, hostKey, priority: null, protocol: null },
    });
    expect((await lines())[0]).toBe(`nas.lan 2200 ${hostKey} ${trustedPublicKey} other`);
  });

  test("a new key waits until the server's stack has let it in; beside a server of this stack", async () => {
    const warn = vi.spyOn(pulumi.log, "warn").mockResolvedValue();
    const { kalaw } = kalawAndPai();
    const desk = clientOf([{ ...nas, authorizedKeys: [otherKey] }, kalaw]);
    await resources();
    expect((await lines()).slice(0, 2)).toEqual([
      `nas.lan 2200 ${hostKey} ${trustedPublicKey} waits`,
      expect.stringMatching(/^kalaw 22 \S+ \S+ kalaw-\S+$/),
    ]);
    // The key that the client goes on with stays.
    expect((await inputs("desk-access-kalaw"))?.update).toBe(
      callHelper("authorize --owner 'organization/nixos-cache/test desk@kalaw'"),
    );
    await vi.waitFor(() => expect(warn).toHaveBeenCalled());
    const said = warn.mock.lastCall?.[0] ?? "";
    expect(said).toMatch(/^desk waits for the stack of nas /);
    expect(said.split("\n").at(-1)).toBe(await value(desk.publicKey));
    warn.mockRestore();
  });

  test("what a client puts out is its newest key, and what it trusts", async () => {
    const desk = clientOf(nas);
    expect(await value(desk.data)).toEqual({
      publicKeys: [await value(desk.publicKey)],
      trusts: { nas: "nas-1" },
    });
  });

  test("a client that is gone puts out no key", async () => {
    const warn = vi.spyOn(pulumi.log, "warn").mockResolvedValue();
    expect(await value(clientOf(nas, { gone: true }).data)).toEqual({ publicKeys: [], trusts: {} });
    await resources();
    warn.mockRestore();
  });

  test("the server lets in what it is given, as its own, and puts out what a client needs", async () => {
    const server = new CacheServer(
      "kalaw",
      {
        connection: { host: "192.0.2.1", hostKey },
        otherClients: {
          laptop: `${otherKey} me`,
          desk: pulumi.output({ publicKeys: [otherKey, hostKey], trusts: { kalaw: "kalaw-0" } }),
        },
      },
      record,
    );
    const { authorizedKeys, name, keyCreated, trustedPublicKey, ...others } = await value(
      server.data,
    );
    expect(others).toEqual({ address: "kalaw", port: 22, hostKey });
    expect(name).toBe("kalaw");
    expect(authorizedKeys).toEqual([otherKey, otherKey, hostKey]);
    expect(await value(server.keyCreated)).toBe(keyCreated);
    const [signingKey] = trustedPublicKey.split(":");
    for (const [client, stdin] of [
      ["laptop", `\n${otherKey} me\n`],
      ["desk", `kalaw-0\n${otherKey}\n${hostKey}\n`],
    ]) {
      const owner = `--owner 'organization/nixos-cache/test other:${client}@kalaw'`;
      expect(await inputs(`kalaw-admission-${client}`)).toEqual({
        connection: expect.anything(),
        ...run(`admit ${signingKey}`, owner),
        delete: callHelperToUndo(`revoke ${owner}`),
        stdin,
        addPreviousOutputInEnv: false,
      });
      expect(await dependencies(`kalaw-admission-${client}`)).toEqual([
        "kalaw-helper",
        "kalaw-signing",
      ]);
    }
  });
});

test("two machines that serve each other: no step waits for itself, and one rebuild has the settings of both roles", async () => {
  const connection = (last: number) => ({ host: `192.0.2.${last}`, hostKey });
  // As in index.ts: a server comes before its machine's client, and that after its own server.
  const clients: CacheClient[] = [];
  const settingsOf = (which: number) =>
    pulumi.output(
      Promise.resolve().then(() => clients[which]?.settings),
    ) as CacheClient["settings"];
  const kalaw = new CacheServer(
    "kalaw",
    { connection: connection(1), clientSettings: settingsOf(0) },
    record,
  );
  const pai = new CacheServer(
    "pai",
    { connection: connection(2), clientSettings: settingsOf(1) },
    record,
  );
  clients.push(
    new CacheClient("kalaw-fetches", { connection: connection(1), server: pai }, record),
    new CacheClient("pai-fetches", { connection: connection(2), server: kalaw }, record),
  );
  await resources();
  for (const name of ["kalaw", "pai"]) {
    const client = (await inputs(`${name}-fetches-settings`))?.stdin;
    expect((await inputs(`${name}-settings`))?.stdin).toBe(`{"onlyOurKeys":false}\n${client}`);
    expect(await dependencies(`${name}-settings`)).toEqual([`${name}-helper`]);
  }
});
