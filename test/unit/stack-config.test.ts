import { describe, expect, test } from "vitest";
import { ConfigError } from "../../config/config-error.ts";
import { parseStackConfig } from "../../config/stack-config.ts";

const hostKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINFeRaPGyeUfO/zbdjrsARlJWOwFOy38RuyB7a/r1WIP";
/** Each machine has its own: pai, nas. */
const paiKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILi5anq9WZ6nvn6//ZQhbiDTND20Cntc8/zMKvgSs31a";
const nasKey =
  "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBEmKSENjQEezOmxkZMy7opKgwFB9nkt5YRrYMjNuG5N87uRgg6CLrbo5wAdT/y6v0mKV0U2w0WZ2YB/++Tpockg=";
const rsaKey =
  "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAQQCo9+BpMRYQ/dL3DS2CyJxRF+j6ctbT3/Qp84+KeFhnii7NT7fELilKUSnxS30WAvQCCo2yU1orfgqr41mM70MB";

const kalaw = { connection: { host: "kalaw.lan", user: "root", hostKey }, address: "kalaw" };
const pai = { connection: { host: "pai.lan", hostKey: paiKey }, servers: ["kalaw"], priority: 30 };
const warm = { flake: "github:me/machines", systems: ["pai"] };
const nas = { connection: { host: "nas.lan", hostKey: nasKey } };

/** The stack file's settings as Pulumi hands them over. */
function settings(overrides: Record<string, unknown> = {}): Record<string, string> {
  const all = { servers: { kalaw }, clients: { pai }, ...overrides };
  return Object.fromEntries(
    Object.entries(all).flatMap(([name, value]) =>
      value === undefined
        ? []
        : [[`nixos-cache:${name}`, typeof value === "string" ? value : JSON.stringify(value)]],
    ),
  );
}

/** The message that a person gets for these settings. */
function complaint(overrides: Record<string, unknown>): string {
  try {
    parseStackConfig(settings(overrides));
  } catch (error) {
    if (error instanceof ConfigError) return error.message;
    throw error;
  }
  throw new Error("the settings were taken");
}

/** What another stack puts out of a server. */
const dataOfNas = {
  address: "nas.lan",
  hostKey: nasKey,
  trustedPublicKey: `nas-1:${"A".repeat(43)}=`,
};

const server = (change: object) => ({ servers: { kalaw: { ...kalaw, ...change } } });
const client = (change: object) => ({ clients: { pai: { ...pai, ...change } } });
const login = (change: object) => server({ connection: { ...kalaw.connection, ...change } });

describe("settings that are right", () => {
  test("are taken as they are, with their defaults", () => {
    expect(parseStackConfig(settings())).toEqual({
      rotation: "1",
      observe: true,
      plan: false,
      servers: { kalaw },
      otherServers: {},
      clients: { pai },
    });
  });

  test.each([
    "kalaw",
    "kalaw.local",
    "KALAW.lan",
    "file_server.lan",
    "pai.tail1234.ts.net",
    "xn--hlaw-loa.example",
    "100.64.0.7",
    "2001:db8::b",
    "fd7a:115c:a1e0::1",
  ])("the name or address %s", (host) => {
    const connection = { ...kalaw.connection, host };
    const { servers } = parseStackConfig(
      settings({ servers: { kalaw: { connection, address: host } } }),
    );
    expect(servers.kalaw).toEqual({ connection, address: host });
  });

  test("one address behind two jump hosts is two machines", () => {
    const connection = (jump: string, key: string) => ({
      host: "10.0.0.2",
      hostKey: key,
      jump: { host: jump, hostKey: `${hostKey} ${jump}` },
    });
    const servers = {
      kalaw: { connection: connection("gate.lan", hostKey) },
      nas: { connection: connection("door.lan", nasKey) },
    };
    expect(parseStackConfig(settings({ servers })).servers).toEqual(servers);
  });

  test("of other namespaces are none of ours", () => {
    expect(parseStackConfig({ ...settings(), "aws:region": "eu" }).rotation).toBe("1");
  });

  test("a rotation that is a number", () => {
    const config = parseStackConfig(settings({ clients: { pai: { ...pai, rotation: 2 } } }));
    expect(config.clients.pai?.rotation).toBe("2");
  });

  test("true and false at the top, which Pulumi hands over as text", () => {
    const config = parseStackConfig(settings({ observe: "false", plan: "true" }));
    expect([config.observe, config.plan]).toEqual([false, true]);
  });

  test("how a machine is rebuilt, and by whom", () => {
    const change = {
      connection: { ...kalaw.connection, user: "me" },
      rebuild: { by: "pulumi", from: "flake", attribute: "kalaw" },
      confirmWithin: 10,
      onlyOurs: true,
      takeOver: true,
      onlyOurKeys: true,
    };
    expect(parseStackConfig(settings(server(change))).servers.kalaw).toEqual({
      ...kalaw,
      ...change,
    });
  });

  test("systems that a server builds ahead of time, with their defaults", () => {
    const built = (given: object) =>
      parseStackConfig(settings(server({ warm: given }))).servers.kalaw?.warm;
    expect(built(warm)).toEqual({ ...warm, startAt: "daily", keep: 3 });
    const all = { ...warm, startAt: "Mon *-*-* 04:00", user: "me", keep: 1, maxSize: "50G" };
    expect(built(all)).toEqual(all);
    expect(built({ ...warm, maxSize: 5000 })?.maxSize).toBe("5000");
    for (const flake of ["/srv/machines", "git+ssh://git@nas/machines?ref=main&dir=a"]) {
      expect(built({ ...warm, flake })?.flake).toBe(flake);
    }
  });

  test("a machine whose settings its owner deploys", () => {
    for (const by of ["owner", "pulumi"]) {
      const config = parseStackConfig(settings(client({ rebuild: { by }, takeOver: false })));
      expect(config.clients.pai).toEqual({ ...pai, rebuild: { by }, takeOver: false });
    }
  });

  test("a machine in both roles, whose defaults are written out in one of them", () => {
    const both = {
      connection: { ...nas.connection, user: "root" },
      confirmWithin: 60,
      onlyOurs: false,
      takeOver: false,
      servers: ["kalaw"],
    };
    parseStackConfig(settings({ servers: { kalaw, nas }, clients: { nas: both } }));
  });

  test("a client whose server is in another stack", () => {
    const otherServers = { kalaw: { stack: "me/nixos-cache/home" }, nas: dataOfNas };
    const clients = { pai: { ...pai, servers: ["nas", "kalaw"] } };
    const config = parseStackConfig(settings({ servers: undefined, otherServers, clients }));
    expect(config).toMatchObject({ servers: {}, otherServers, clients });
  });

  test("clients of other stacks: a line, several, or the stack that puts them out", () => {
    const otherClients = {
      pai: { stack: "me/nixos-cache/desk" },
      laptop: `${paiKey} me@laptop`,
      "Old.laptop": [paiKey, nasKey],
    };
    const config = parseStackConfig(settings(server({ otherClients })));
    expect(config.servers.kalaw?.otherClients).toEqual(otherClients);
  });

  test("a server without clients", () => {
    expect(parseStackConfig(settings({ clients: undefined })).clients).toEqual({});
    expect(parseStackConfig(settings({ clients: {} })).clients).toEqual({});
  });

  test("a machine that serves and fetches", () => {
    const both = { connection: nas.connection, servers: ["kalaw"] };
    const config = parseStackConfig(
      settings({ servers: { kalaw, nas }, clients: { pai, nas: both } }),
    );
    expect(Object.keys(config.clients)).toEqual(["pai", "nas"]);
  });

  test("a machine in both roles, whose host key has its comment in one of them", () => {
    const connection = { ...nas.connection, hostKey: `${nasKey} root@nas` };
    const both = { connection, servers: ["kalaw"] };
    parseStackConfig(settings({ servers: { kalaw, nas }, clients: { nas: both } }));
  });

  test("a host key with its comment, and an ECDSA one", () => {
    for (const key of [`${hostKey} root@kalaw`, nasKey]) {
      expect(parseStackConfig(settings(login({ hostKey: key }))).servers.kalaw).toBeDefined();
    }
  });
});

describe("every mistake is named, with what to write instead", () => {
  const whereHostKeys =
    "write the line of /etc/ssh/ssh_host_ed25519_key.pub on that machine, ssh-ed25519 AAAA…";
  const hostKeySetting = "nixos-cache:servers.kalaw.connection.hostKey";

  test.each<[string, Record<string, unknown>, string]>([
    [
      "no host key",
      login({ hostKey: undefined }),
      `${hostKeySetting} is missing: ${whereHostKeys}`,
    ],
    [
      "an RSA host key",
      login({ hostKey: rsaKey }),
      `${hostKeySetting} is an RSA key, which never matches a modern sshd's: ${whereHostKeys}`,
    ],
    [
      "a broken host key",
      login({ hostKey: "ssh-ed25519 AAAA" }),
      `${hostKeySetting} is no SSH public key: ${whereHostKeys}`,
    ],
    [
      "a host key with more behind it, by which one machine would have two",
      client({ connection: { host: "10.0.0.7", hostKey: `${hostKey}AAAA` } }),
      `nixos-cache:clients.pai.connection.hostKey is no SSH public key: ${whereHostKeys}`,
    ],
    [
      "a host key with a carriage return in its comment",
      login({ hostKey: `${hostKey} root\r@kalaw` }),
      `${hostKeySetting} is no SSH public key: ${whereHostKeys}`,
    ],
    [
      "an unknown server",
      client({ servers: ["kalwa"] }),
      'nixos-cache:clients.pai.servers[0] names "kalwa", which is no server: write one of kalaw',
    ],
    [
      "a server by the name of what every object has",
      client({ servers: ["constructor"] }),
      'nixos-cache:clients.pai.servers[0] names "constructor", which is no server: write one of kalaw',
    ],
    [
      "a host key of two lines",
      login({ hostKey: `${hostKey} x\nMatch all` }),
      `${hostKeySetting} has more than one line: ${whereHostKeys}`,
    ],
    [
      "one machine under two names, in other letters",
      client({ connection: { host: "KALAW.lan", hostKey: paiKey } }),
      "nixos-cache:clients.pai.connection.host is kalaw.lan port 22, like that of kalaw: write its own, or call the machine kalaw in both places",
    ],
    [
      "a typo in a client",
      client({ priorty: 1 }),
      "nixos-cache:clients.pai.priorty is no setting: write one of connection, servers, priority, protocol, rotation, gone, mayBeOff, rebuild, confirmWithin, onlyOurs, takeOver",
    ],
    [
      "a typo in a server",
      server({ onlyOurKey: true }),
      "nixos-cache:servers.kalaw.onlyOurKey is no setting: write one of connection, address, port, rotation, onlyOurKeys, otherClients, warm, rebuild, confirmWithin, onlyOurs, takeOver",
    ],
    [
      "a server's setting of a client",
      client({ onlyOurKeys: true }),
      "nixos-cache:clients.pai.onlyOurKeys is no setting: write one of connection, servers, priority, protocol, rotation, gone, mayBeOff, rebuild, confirmWithin, onlyOurs, takeOver",
    ],
    [
      "a typo in a connection",
      login({ hostkey: "x" }),
      "nixos-cache:servers.kalaw.connection.hostkey is no setting: write one of host, port, user, hostKey, jump",
    ],
    [
      "a typo at the top",
      { rotations: "2" },
      "nixos-cache:rotations is no setting: write one of rotation, rotateEvery, observe, plan, agentSocket, privateKey, privateKeyPassword, servers, otherServers, clients",
    ],
    [
      "a bad machine name",
      { servers: { "Kalaw!": kalaw }, clients: {} },
      "nixos-cache:servers.Kalaw! is no valid host name: write 1 to 63 of a-z, 0-9 and -, with no - at either end",
    ],
    [
      "a bad host",
      login({ host: "root@kalaw" }),
      "nixos-cache:servers.kalaw.connection.host is no host name or IP address: write it without user, port, scheme, brackets or dot at the end, like kalaw.lan",
    ],
    ...["300.1.1.1", "1.2.3", "127.1", "10.0.0.01"].map(
      (host): [string, Record<string, unknown>, string] => [
        `the host ${host}`,
        login({ host }),
        "nixos-cache:servers.kalaw.connection.host is no host name or IP address: write it without user, port, scheme, brackets or dot at the end, like kalaw.lan",
      ],
    ),
    ...["[fd00::1]", "kalaw.lan.", "ka law", "-kalaw", "ssh://kalaw", "kalaw:22", ""].map(
      (host): [string, Record<string, unknown>, string] => [
        `the host "${host}"`,
        login({ host }),
        "nixos-cache:servers.kalaw.connection.host is no host name or IP address: write it without user, port, scheme, brackets or dot at the end, like kalaw.lan",
      ],
    ),
    ...[
      ["FD00::0001", "fd00::1"],
      ["2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
    ].map(([host, plain]): [string, Record<string, unknown>, string] => [
      `the host ${host}`,
      login({ host }),
      `nixos-cache:servers.kalaw.connection.host is not written as programs do: write ${plain}`,
    ]),
    ...["fe80::1", "fe80::1%eth0", "fd00::1%2"].map(
      (address): [string, Record<string, unknown>, string] => [
        `the address ${address}`,
        server({ address }),
        "nixos-cache:servers.kalaw.address is a link-local address, which means something else on each machine: write a host name, or another address",
      ],
    ),
    [
      "a typo in a jump host",
      login({ jump: { host: "gate.lan", hostkey: "x" } }),
      [
        `nixos-cache:servers.kalaw.connection.jump.hostKey is missing: ${whereHostKeys}`,
        "nixos-cache:servers.kalaw.connection.jump.hostkey is no setting: write one of host, port, user, hostKey",
      ].join("\n"),
    ],
    [
      "a jump host in one word",
      login({ jump: "gate.lan" }),
      "nixos-cache:servers.kalaw.connection.jump is no group of settings: write { host: …, hostKey: … } of the jump host",
    ],
    [
      "a user of a jump host who can be none",
      login({ jump: { host: "gate.lan", hostKey: nasKey, user: "me; id" } }),
      "nixos-cache:servers.kalaw.connection.jump.user is no user's name: write whom your key lets in there",
    ],
    [
      "a server whose name alone is no address",
      { servers: { 42: { connection: kalaw.connection } }, clients: {} },
      "nixos-cache:servers.42.address is missing: 42 alone would be taken for an IPv4 address, write the server's host name",
    ],
    [
      "a machine by the name of what no object has as its own",
      // JSON.parse makes it one.
      { clients: `{ "__proto__": ${JSON.stringify(pai)} }` },
      "nixos-cache:clients.__proto__ is no valid host name: write 1 to 63 of a-z, 0-9 and -, with no - at either end",
    ],
    [
      "a group of settings for the rotation",
      { rotation: { kalaw: 2 } },
      "nixos-cache:rotation is no text: write any word or number, like 2",
    ],
    [
      "no host",
      login({ host: undefined }),
      "nixos-cache:servers.kalaw.connection.host is missing: write a host name or an IP address",
    ],
    [
      "a port out of range",
      login({ port: 70000 }),
      "nixos-cache:servers.kalaw.connection.port is no port: write a whole number from 1 to 65535, like 22",
    ],
    [
      "a port that is no number",
      server({ port: "ssh" }),
      "nixos-cache:servers.kalaw.port is no port: write a whole number from 1 to 65535, like 22",
    ],
    [
      "a user who can be none",
      login({ user: "me; id" }),
      "nixos-cache:servers.kalaw.connection.user is no user's name: write root, or a user who may use sudo without a password",
    ],
    [
      "neither true nor false at the top",
      { observe: "yes" },
      "nixos-cache:observe is neither true nor false: write one of them",
    ],
    [
      "a rebuild from elsewhere",
      server({ rebuild: { from: "git" } }),
      "nixos-cache:servers.kalaw.rebuild.from is neither flake nor channel: write what /etc/nixos is built from",
    ],
    [
      "a rebuild in one word",
      client({ rebuild: "flake" }),
      "nixos-cache:clients.pai.rebuild is no group of settings: write { from: flake, attribute: … }",
    ],
    [
      "a typo in a rebuild",
      client({ rebuild: { atribute: "pai" } }),
      "nixos-cache:clients.pai.rebuild.atribute is no setting: write one of by, from, attribute",
    ],
    [
      "an attribute with its flake",
      client({ rebuild: { attribute: ".#pai" } }),
      "nixos-cache:clients.pai.rebuild.attribute is no attribute of a flake: write the name of a nixosConfigurations entry, like pai",
    ],
    [
      "an attribute of a channel",
      client({ rebuild: { from: "channel", attribute: "pai" } }),
      "nixos-cache:clients.pai.rebuild.attribute is for a flake: take it out, or write from: flake",
    ],
    [
      "a rebuild by somebody else",
      client({ rebuild: { by: "colmena" } }),
      "nixos-cache:clients.pai.rebuild.by is neither pulumi nor owner: write owner if you deploy this machine's settings yourself",
    ],
    [
      "what to rebuild, where the owner deploys",
      client({ rebuild: { by: "owner", from: "flake" } }),
      "nixos-cache:clients.pai.rebuild.from is for rebuilds by pulumi: take it out, or write by: pulumi",
    ],
    [
      "what attribute to rebuild, where the owner deploys",
      client({ rebuild: { by: "owner", attribute: "pai" } }),
      "nixos-cache:clients.pai.rebuild.attribute is for rebuilds by pulumi: take it out, or write by: pulumi",
    ],
    [
      "both of that: two mistakes told as two, though neither fits the other",
      client({ rebuild: { by: "owner", from: "channel", attribute: "pai" } }),
      ["from", "attribute"]
        .map(
          (setting) =>
            `nixos-cache:clients.pai.rebuild.${setting} is for rebuilds by pulumi: take it out, or write by: pulumi`,
        )
        .join("\n"),
    ],
    [
      "an attribute that is none, and of a channel: one mistake",
      client({ rebuild: { from: "channel", attribute: ".#pai" } }),
      "nixos-cache:clients.pai.rebuild.attribute is no attribute of a flake: write the name of a nixosConfigurations entry, like pai",
    ],
    ...[9, 3601, 60.5, 1e300, "60s"].map((value): [string, Record<string, unknown>, string] => [
      `confirmWithin ${value}`,
      client({ confirmWithin: value }),
      "nixos-cache:clients.pai.confirmWithin is no number of seconds: write a whole number from 10 to 3600, like 60",
    ]),
    [
      "onlyOurs in words",
      server({ onlyOurs: "yes" }),
      "nixos-cache:servers.kalaw.onlyOurs is neither true nor false: write true to refuse rebuilds that would change more than the cache",
    ],
    [
      "onlyOurKeys in words",
      server({ onlyOurKeys: "yes" }),
      "nixos-cache:servers.kalaw.onlyOurKeys is neither true nor false: write true to end the access of keys that are not of this stack",
    ],
    ...(
      [
        [
          "flake",
          "me/machines",
          "is no flake for a server: write its URL or its path on the server, without # and spaces, like github:me/machines or /srv/machines",
        ],
        [
          "flake",
          "github:me/machines#pai",
          "is no flake for a server: write its URL or its path on the server, without # and spaces, like github:me/machines or /srv/machines",
        ],
        [
          "flake",
          "--impure",
          "is no flake for a server: write its URL or its path on the server, without # and spaces, like github:me/machines or /srv/machines",
        ],
        [
          "systems",
          "pai",
          "is no list: write the names of its nixosConfigurations that clients run, like [pai]",
        ],
        [
          "systems",
          [],
          "is empty: write the names of its nixosConfigurations that clients run, like [pai]",
        ],
        [
          "startAt",
          "daily\nExecStart=id",
          "is no time: write when, like daily or 04:00 (systemd.time(7))",
        ],
        [
          "user",
          "root",
          "is no user's name, or root: write who may read the flake on the server, with no other rights",
        ],
        ["keep", 0, "is no number of builds: write a whole number from 1 to 1000, like 3"],
        [
          "maxSize",
          "50 GB",
          "is no size: write a number of bytes, or one with K, M, G or T, like 50G",
        ],
        ["flakes", "x", "is no setting: write one of flake, systems, startAt, user, keep, maxSize"],
      ] as const
    ).map(([setting, value, words]): [string, Record<string, unknown>, string] => [
      `${setting} of warm is ${value}`,
      server({ warm: { ...warm, [setting]: value } }),
      `nixos-cache:servers.kalaw.warm.${setting} ${words}`,
    ]),
    [
      "a name of a system that is none",
      server({ warm: { ...warm, systems: ["pai", "a'b"] } }),
      "nixos-cache:servers.kalaw.warm.systems[1] is no name of a system: write the names of its nixosConfigurations that clients run, like [pai]",
    ],
    [
      "takeOver in words",
      client({ takeOver: 1 }),
      "nixos-cache:clients.pai.takeOver is neither true nor false: write true to take the machine over from another stack",
    ],
    [
      "an agent's socket that is no path",
      { agentSocket: "~/agent" },
      "nixos-cache:agentSocket is no path of a socket: write the whole path, like /run/user/1000/ssh-agent",
    ],
    [
      "mayBeOff in words",
      client({ mayBeOff: "yes" }),
      "nixos-cache:clients.pai.mayBeOff is neither true nor false: write true if the machine is not always on, like a laptop",
    ],
    [
      "a machine that may be off, where nobody looks",
      { ...client({ mayBeOff: true }), observe: "false" },
      "nixos-cache:clients.pai.mayBeOff needs a look at each machine, which nixos-cache:observe turns off: take one of them out",
    ],
    [
      "a server that may be off",
      {
        servers: { kalaw, nas },
        clients: { nas: { ...nas, servers: ["kalaw"], mayBeOff: true } },
      },
      "nixos-cache:clients.nas.mayBeOff is for a machine that only fetches, and nas serves, too: take it out",
    ],
    [
      "a server's own mayBeOff",
      server({ mayBeOff: true }),
      "nixos-cache:servers.kalaw.mayBeOff is no setting: write one of connection, address, port, rotation, onlyOurKeys, otherClients, warm, rebuild, confirmWithin, onlyOurs, takeOver",
    ],
    [
      "two ways to rebuild one machine",
      {
        servers: {
          kalaw,
          nas: { connection: { ...nas.connection, user: "me" }, confirmWithin: 90 },
        },
        clients: {
          nas: {
            ...nas,
            servers: ["kalaw"],
            rebuild: { by: "pulumi", from: "flake", attribute: "nas" },
            onlyOurs: true,
            takeOver: true,
          },
        },
      },
      [
        "connection.user",
        "rebuild.by",
        "rebuild.from",
        "rebuild.attribute",
        "confirmWithin",
        "onlyOurs",
        "takeOver",
      ]
        .map(
          (setting) =>
            `nixos-cache:clients.nas.${setting} is another than that of the server nas: write the same in both places`,
        )
        .join("\n"),
    ],
    [
      "a client of itself",
      { clients: { kalaw: { connection: kalaw.connection, servers: ["kalaw"] } } },
      "nixos-cache:clients.kalaw.servers[0] is kalaw itself: a machine has no use for its own cache, take it out",
    ],
    [
      "a server named twice",
      client({ servers: ["kalaw", "kalaw"] }),
      "nixos-cache:clients.pai.servers[1] names kalaw again: write each server once",
    ],
    [
      "one address for two servers",
      {
        servers: {
          kalaw,
          nas: { ...nas, address: "kalaw" },
        },
      },
      "nixos-cache:servers.nas.address is kalaw, like that of kalaw: write each server's own address",
    ],
    [
      "one machine under two names",
      client({ connection: kalaw.connection }),
      "nixos-cache:clients.pai.connection.host is kalaw.lan port 22, like that of kalaw: write its own, or call the machine kalaw in both places",
    ],
    [
      "one machine under two host names, by its host key",
      client({ connection: { host: "10.0.0.7", hostKey: `${hostKey} root@kalaw` } }),
      `nixos-cache:clients.pai.connection.hostKey is ${hostKey}, like that of kalaw: write its own, or call the machine kalaw in both places`,
    ],
    [
      "one machine under two names of servers",
      { servers: { kalaw, nas: { connection: { host: "nas.lan", hostKey } } } },
      `nixos-cache:servers.nas.connection.hostKey is ${hostKey}, like that of kalaw: write its own, or call the machine kalaw in both places`,
    ],
    [
      "one machine under two names, one of them in both roles: one mistake",
      {
        servers: { kalaw, nas: kalaw },
        clients: { nas: { connection: kalaw.connection, servers: ["kalaw"] } },
      },
      [
        "nixos-cache:servers.nas.address is kalaw, like that of kalaw: write each server's own address",
        "nixos-cache:servers.nas.connection.host is kalaw.lan port 22, like that of kalaw: write its own, or call the machine kalaw in both places",
      ].join("\n"),
    ],
    [
      "two connections to one machine",
      {
        servers: { kalaw, nas },
        clients: { nas: { connection: { host: "nas.home", hostKey: nasKey }, servers: ["kalaw"] } },
      },
      "nixos-cache:clients.nas.connection is another than that of the server nas: write the same, or another name",
    ],
    [
      "no servers at all",
      { servers: undefined },
      "nixos-cache:servers is missing: write kalaw: { connection: { host: …, hostKey: … } }",
    ],
    [
      "an empty group of servers",
      { servers: {}, clients: {} },
      "nixos-cache:servers is empty: write at least one server, or run `pulumi destroy` to take all away",
    ],
    ...(
      [
        [
          { stack: "home" },
          ".stack is no name of a stack: write organization/project/stack, as `pulumi stack ls` and `pulumi whoami` say",
        ],
        [
          { stack: "a/b/c", port: 22 },
          ".port comes from the stack: take it out, or take stack out",
        ],
        [
          { hostKey: nasKey },
          ".trustedPublicKey is missing: write it as the server's stack puts it out, or write that stack",
        ],
        [
          { ...dataOfNas, trustedPublicKey: "nas-1:AAAA" },
          ".trustedPublicKey is no signing key's public half: write it as the server's stack puts it out, NAME:BASE64",
        ],
        [
          { ...dataOfNas, keyCreated: "x" },
          ".keyCreated is no setting: write one of stack, address, port, hostKey, trustedPublicKey",
        ],
        [
          { ...dataOfNas, address: "kalaw" },
          ".address is kalaw, like that of kalaw: write each server's own address",
        ],
      ] as const
    ).map(([nas, words]): [string, Record<string, unknown>, string] => [
      `a server of another stack: ${words}`,
      { otherServers: { nas } },
      `nixos-cache:otherServers.nas${words}`,
    ]),
    [
      "a server here and in another stack",
      { otherServers: { kalaw: { stack: "a/b/c" } } },
      "nixos-cache:otherServers.kalaw is a server of this stack too: write it in one of the two places",
    ],
    ...["pai", rsaKey].map((laptop): [string, Record<string, unknown>, string] => [
      `a line that is no key: ${laptop}`,
      server({ otherClients: { laptop } }),
      "nixos-cache:servers.kalaw.otherClients.laptop is no ed25519 or ECDSA public key in one line: write the line that the client's stack puts out, ssh-ed25519 AAAA…",
    ]),
    ...[5, [], { keys: paiKey }].map((laptop): [string, Record<string, unknown>, string] => [
      `a client of another stack: ${JSON.stringify(laptop)}`,
      server({ otherClients: { laptop } }),
      "nixos-cache:servers.kalaw.otherClients.laptop is no client of another stack: write { stack: organization/project/stack }, the line of its public key, ssh-ed25519 AAAA…, or a list of lines",
    ]),
    [
      "a client of another stack whose name is no word",
      server({ otherClients: { "a b": paiKey } }),
      "nixos-cache:servers.kalaw.otherClients.a b is no client's name: write 1 to 63 of A-Z, a-z, 0-9, _, . and -",
    ],
    [
      "an empty list",
      client({ servers: [] }),
      "nixos-cache:clients.pai.servers is empty: write the names of its servers, like [kalaw]",
    ],
    [
      "text for a list",
      client({ servers: "kalaw" }),
      "nixos-cache:clients.pai.servers is no list: write the names of its servers, like [kalaw]",
    ],
    [
      "text for a group",
      { servers: "kalaw" },
      "nixos-cache:servers is no group of servers: write kalaw: { connection: { host: …, hostKey: … } }",
    ],
    [
      "a period that is none",
      { rotateEvery: "3 months" },
      "nixos-cache:rotateEvery is no period: write a number of days, like 90d",
    ],
    [
      "a rotation that is no text",
      client({ rotation: ["2"] }),
      "nixos-cache:clients.pai.rotation is no text: write any word or number, like 2",
    ],
    // Nix leaves out a cache with more than 32 bits can hold.
    [
      "a protocol that Nix does not have",
      client({ protocol: "https" }),
      "nixos-cache:clients.pai.protocol is no protocol of Nix: write ssh or ssh-ng, or leave it out",
    ],
    ...[-1, 1.5, 2_147_483_648, "30"].map((value): [string, Record<string, unknown>, string] => [
      `priority ${value}`,
      client({ priority: value }),
      "nixos-cache:clients.pai.priority is no priority: write a whole number from 0 to 2147483647; cache.nixos.org has 40",
    ]),
  ])("%s", (_, overrides, message) => {
    expect(complaint(overrides)).toBe(message);
  });

  test("several mistakes at once, a line each", () => {
    expect(
      complaint({ ...login({ port: 0 }), ...client({ servers: [] }) }).split("\n"),
    ).toHaveLength(2);
  });
});
