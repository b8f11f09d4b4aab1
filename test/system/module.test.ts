import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { type ServerForClient, settingsJson } from "../../components/settings.ts";
import { generateSigningKeypair } from "../../keys/signing-key.ts";
import { helperFiles } from "../../machine/helper.ts";
import { ownProtocol } from "../own-protocol.ts";
import { useHome } from "./home.ts";

const home = useHome(["pai"]);
const hostKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINFeRaPGyeUfO/zbdjrsARlJWOwFOy38RuyB7a/r1WIP";

/** The module's files, as they stand in a checkout. */
const folder = "/root/nixos";

beforeAll(async () => {
  await home().on("pai", `mkdir ${folder}`);
  for (const { path, text } of helperFiles) {
    if (path.startsWith("nixos/")) await home().on("pai", `cat >/root/${path}`, text);
  }
});

/** Evaluates an expression about the machine pai, whose `config` and `options` are in scope. */
async function evaluate<T>(expression: string, modules: string): Promise<T> {
  const { code, stdout, stderr } = await tryEvaluate(expression, modules);
  if (code !== 0) throw new Error(stderr);
  return JSON.parse(stdout);
}

function tryEvaluate(expression: string, modules: string) {
  return home().tryOn(
    "pai",
    'nix-instantiate --eval --strict --json --expr "$(cat)"',
    about(expression, modules),
  );
}

/** The expression with the machine around it. */
function about(expression: string, modules: string): string {
  return `
    let
      machine = import /etc/nixpkgs/nixos/eval-config.nix {
        system = builtins.currentSystem;
        modules = [ { networking.hostName = "pai"; } ${modules} ];
      };
      inherit (machine) config options lib;
    in ${expression}`;
}

/** The module on its own, with these options of services.nixos-cache and those of others. */
const alone = (options: string, others = "") =>
  `${folder}/module.nix { services.nixos-cache = { ${options} }; } ({ lib, ... }: { ${others} })`;

const serves = "server.enable = true;";
const fetches = `client.servers.kalaw.hostKey = "${hostKey}";`;

/** What of a machine the module could change. */
const effects = `{
  inherit (config.nix) extraOptions;
  inherit (config.nix.sshServe) enable;
  fallback = config.nix.settings.fallback or null;
  ssh = config.programs.ssh.extraConfig;
  sshd = config.services.openssh.extraConfig;
  files = builtins.filter (lib.hasPrefix "nixos-cache/") (builtins.attrNames config.environment.etc);
  inherit (config) warnings;
}`;
const untouched = {
  extraOptions: "",
  enable: false,
  fallback: null,
  ssh: "",
  sshd: "",
  files: [],
  warnings: [],
};

describe("on its own, with typed options", () => {
  test("without any it does nothing", async () => {
    expect(await evaluate(effects, alone(""))).toEqual(untouched);
  });

  test("a server serves the keys in our file, whoever else the owner lets in", async () => {
    const config = await sshdOf(
      alone(
        serves,
        `${openssh} services.openssh.settings = {
          AllowUsers = [ "fay" ];
          AllowGroups = [ "wheel" ];
          AuthenticationMethods = "publickey,password";
        };`,
      ),
    );
    expect(config).toMatchObject({
      authorizedkeysfile:
        "/var/lib/nixos-cache/authorized_keys /run/nixos-cache/check_key %h/.ssh/authorized_keys /etc/ssh/authorized_keys.d/%u",
      authorizedkeyscommand: "/bin/echo",
      allowusers: "nix-ssh",
      allowgroups: "nix-ssh",
      authenticationmethods: "publickey",
      disableforwarding: "yes",
      permittty: "no",
      permituserrc: "no",
      exposeauthinfo: "yes",
    });
    expect(config.forcecommand).toMatch(
      /^\/nix\/store\/[^/]+\/bin\/prlimit --as=\d+ \/nix\/store\/[^/]+-nixos-cache-serve$/,
    );
  });

  test("with onlyOurKeys it serves them alone", async () => {
    const config = await sshdOf(alone(`${serves} server.onlyOurKeys = true;`, openssh));
    expect(config).toMatchObject({
      authorizedkeysfile: "/var/lib/nixos-cache/authorized_keys /run/nixos-cache/check_key",
      authorizedkeyscommand: "none",
      trustedusercakeys: "none",
    });
  });

  // What else may let somebody in.
  const openssh =
    'services.openssh.extraConfig = "AuthorizedKeysCommand /bin/echo\\nAuthorizedKeysCommandUser nobody\\nTrustedUserCAKeys /etc/ssh/ca.pub\\n";';

  /** What sshd makes of the configuration, for a login of nix-ssh: values by keyword. */
  async function sshdOf(modules: string): Promise<Record<string, string>> {
    const shown = await home().on(
      "pai",
      `cat >/root/sshd.nix && config=$(nix-build --no-out-link /root/sshd.nix) &&
       $(command -v sshd) -T -f $config -C user=nix-ssh,host=pai,addr=127.0.0.1`,
      about('config.environment.etc."ssh/sshd_config".source', modules),
    );
    return Object.fromEntries(
      shown.split("\n").map((line) => {
        const [keyword = "", ...value] = line.split(" ");
        return [keyword.toLowerCase(), value.join(" ")];
      }),
    );
  }

  test("a client's servers have defaults: their name, port 22, Nix's own priority", async () => {
    expect(await evaluate("config.services.nixos-cache.client.servers", alone(fetches))).toEqual({
      kalaw: { address: "kalaw", port: 22, hostKey, priority: null, protocol: null },
    });
  });

  test("the owner's own settings of Nix stay, and ours come after them", async () => {
    const own =
      'nix.extraOptions = "extra-substituters = https://own.example"; nix.settings.fallback = false;';
    const { extraOptions, fallback } = await evaluate<Record<string, string>>(
      effects,
      alone(`${serves} ${fetches}`, own),
    );
    expect(extraOptions?.split("\n").filter(Boolean)).toEqual([
      "extra-substituters = https://own.example",
      "!include /var/lib/nixos-cache/nix.conf",
      "extra-allowed-users = nix-ssh",
      `extra-substituters = ${ownProtocol}://nix-ssh@kalaw`,
    ]);
    expect(fallback).toBe(false);
  });

  test("what the owner forces in Nix's settings takes nothing from ours", async () => {
    const own = `nix.settings = {
      substituters = lib.mkForce [ "https://own.example" ];
      allowed-users = [ "@wheel" ];
    };
    nix.extraOptions = "trusted-users = fay";`;
    const shown = await home().on(
      "pai",
      `cat >/root/nix.nix && file=$(nix-build --no-out-link /root/nix.nix) && mkdir -p /root/conf &&
       ln -sfn $file /root/conf/nix.conf &&
       NIX_CONF_DIR=/root/conf nix --extra-experimental-features nix-command config show | grep -E '^(substituters|allowed-users|trusted-users) ='`,
      about('config.environment.etc."nix/nix.conf".source', alone(`${serves} ${fetches}`, own)),
    );
    expect(shown.split("\n")).toEqual([
      "allowed-users = @wheel nix-ssh",
      `substituters = https://own.example ${ownProtocol}://nix-ssh@kalaw`,
      "trusted-users = fay",
    ]);
  });

  test("every option has a description", async () => {
    const without = await evaluate<string[]>(
      `let
        undescribed = path: option:
          if option ? _type then
            (if option ? description && option.description != "" then [ ] else [ path ])
          else
            lib.concatMap (name: undescribed "\${path}.\${name}" option.\${name}) (builtins.attrNames option);
      in undescribed "services.nixos-cache" options.services.nixos-cache`,
      alone(""),
    );
    expect(without).toEqual([]);
  });
});

describe("what cannot work is told", () => {
  const failed = "map (a: a.message) (builtins.filter (a: !a.assertion) config.assertions)";
  const two = `client.servers.kalaw.hostKey = "${hostKey}"; client.servers.nas = { address = "KALAW"; hostKey = "${hostKey}"; };`;
  const daemon = (user: string) =>
    `options.nix.daemonUser = lib.mkOption { default = "${user}"; };`;

  test.each([
    [
      "a server whose Nix is not NixOS's own",
      alone(serves, "nix.enable = false;"),
      "services.nixos-cache needs NixOS's own Nix daemon: nix.enable is false on this machine.",
    ],
    [
      "a client whose Nix is not NixOS's own",
      alone(fetches, "nix.enable = false;"),
      "services.nixos-cache needs NixOS's own Nix daemon: nix.enable is false on this machine.",
    ],
    [
      "a daemon that is not root",
      alone(fetches, daemon("nix")),
      "services.nixos-cache needs a Nix daemon that runs as root, for its keys are root's: nix.daemonUser is another user.",
    ],
    [
      "clients that may write",
      alone(serves, "nix.sshServe.write = true;"),
      "services.nixos-cache only lets clients read: take out nix.sshServe.write, or services.nixos-cache.server.",
    ],
    [
      "nix-ssh among the users that sshd refuses",
      alone(serves, 'services.openssh.settings.DenyUsers = [ "guest" "nix-ssh" ];'),
      "services.nixos-cache serves as user nix-ssh: take nix-ssh out of services.openssh.settings.DenyUsers and DenyGroups.",
    ],
    [
      "nix-ssh among the groups that sshd refuses, as one word",
      alone(serves, 'services.openssh.settings.DenyGroups = "nix-ssh";'),
      "services.nixos-cache serves as user nix-ssh: take nix-ssh out of services.openssh.settings.DenyUsers and DenyGroups.",
    ],
    [
      "options of Nix that drop ours",
      alone(fetches, 'nix.extraOptions = lib.mkForce "extra-platforms = i686-linux";'),
      "services.nixos-cache has no effect where lib.mkForce drops its lines from nix.extraOptions: take that mkForce out.",
    ],
    [
      "a configuration of sshd that drops ours",
      alone(serves, 'services.openssh.extraConfig = lib.mkForce "";'),
      "services.nixos-cache has no effect where lib.mkForce drops its lines from services.openssh.extraConfig: take that mkForce out.",
    ],
    [
      "a configuration of ssh that drops ours",
      alone(fetches, 'programs.ssh.extraConfig = lib.mkForce "Host *";'),
      "services.nixos-cache has no effect where lib.mkForce drops its lines from programs.ssh.extraConfig: take that mkForce out.",
    ],
    [
      "two servers at one address",
      alone(two),
      "services.nixos-cache.client.servers: ssh tells servers apart by their address, so each needs its own.",
    ],
    [
      "systems built ahead of time as root",
      alone(`${serves} server.warm = { flake = "/srv"; systems = [ "pai" ]; user = "root"; };`),
      "services.nixos-cache.server.warm.user: root is no user of this machine, or root: write the name of one who may read the flake.",
    ],
  ])("%s", async (_, modules, message) => {
    expect(await evaluate(failed, modules)).toEqual([message]);
    const { code, stderr } = await tryEvaluate("config.system.build.toplevel.drvPath", modules);
    expect(code).not.toBe(0);
    expect(stderr).toContain(message);
  });

  test("and nothing else: these are fine", async () => {
    for (const others of [
      daemon("root"),
      'services.openssh.settings.DenyUsers = [ "guest" ];',
      "services.openssh.settings.DenyUsers = null;",
      'nix.sshServe.keys = [ "ssh-ed25519 AAAA fay" ];',
    ]) {
      expect(await evaluate(failed, alone(`${serves} ${fetches}`, others))).toEqual([]);
    }
    // On a machine that has nothing to do with it, nothing is asked for.
    expect(await evaluate(failed, alone("", "nix.enable = false;"))).toEqual([]);
  });
});

describe("a wrong type is refused, with the option's name", () => {
  const server = "client.servers.kalaw";
  test.each([
    ["server.enable", 'server.enable = "yes";'],
    ["server.onlyOurKeys", "server.onlyOurKeys = 1;"],
    ["server.warm.flake", 'server.warm = { flake = "me/machines"; systems = [ "pai" ]; };'],
    ["server.warm.systems", 'server.warm = { flake = "/srv"; systems = [ ]; };'],
    ["client.servers", "client.servers = [ ];"],
    [`${server}.port`, `${fetches} ${server}.port = 65536;`],
    [`${server}.port`, `${fetches} ${server}.port = "22";`],
    [`${server}.address`, `${fetches} ${server}.address = "kalaw user root";`],
    [`${server}.address`, `${fetches} ${server}.address = "-oProxyCommand=id";`],
    [`${server}.address`, `${fetches} ${server}.address = "kalaw\\n  ProxyCommand id";`],
    [`${server}.hostKey`, `${server}.hostKey = "ssh-rsa AAAA";`],
    [`${server}.hostKey`, `${server}.hostKey = "${hostKey} root@kalaw";`],
    [`${server}.hostKey`, `${server}.hostKey = "${hostKey}\\n* ssh-ed25519 AAAA";`],
    [`${server}.priority`, `${fetches} ${server}.priority = -1;`],
    [`${server}.priority`, `${fetches} ${server}.priority = 2147483648;`],
    [`${server}.protocol`, `${fetches} ${server}.protocol = "https";`],
  ])("%s, %s", async (option, options) => {
    const { code, stderr } = await tryEvaluate("config.services.nixos-cache", alone(options));
    expect(code).not.toBe(0);
    expect(stderr).toContain(`option \`services.nixos-cache.${option}' is not of type`);
  });

  test("an option that there is not, and a host key that is missing", async () => {
    const misspelt = await tryEvaluate(
      "config.services.nixos-cache",
      alone(`${fetches} ${server}.adress = "kalaw";`),
    );
    expect(misspelt.stderr).toContain(`\`services.nixos-cache.${server}.adress' does not exist`);
    const keyless = await tryEvaluate("config.services.nixos-cache", alone(`${server}.port = 22;`));
    expect(keyless.stderr).toContain(
      `\`services.nixos-cache.${server}.hostKey' was accessed but has no value defined`,
    );
  });
});

describe("with the files that `pulumi up` writes", () => {
  /** The folder as on a machine, with these files beside the module. */
  async function withFiles(files: Record<string, string>): Promise<string> {
    const copy = await home().on(
      "pai",
      `d=$(mktemp -d /root/ours.XXXXXX) && cp ${folder}/* $d/ && echo $d`,
    );
    for (const [name, text] of Object.entries(files)) {
      await home().on("pai", `cat >${copy}/${name}`, text);
    }
    return copy;
  }
  const server = settingsJson({ onlyOurKeys: true });
  const client = settingsJson({
    servers: {
      kalaw: { address: "kalaw.lan", port: 2222, hostKey, priority: 30, protocol: "ssh" },
    },
  });

  test("without any it does nothing: the line that imports it may stay", async () => {
    expect(await evaluate(effects, await withFiles({}))).toEqual(untouched);
    expect(await evaluate(effects, await withFiles({ host: "pai\n" }))).toEqual(untouched);
  });

  test("the settings are the module's options, and stand in the system as they came", async () => {
    const ours = await withFiles({ "server.json": server, "client.json": client, host: "pai\n" });
    expect(await evaluate("config.services.nixos-cache", ours)).toEqual({
      server: { enable: true, onlyOurKeys: true, warm: null },
      client: JSON.parse(client),
    });
    const { files } = await evaluate<{ files: string[] }>(effects, ours);
    expect(files.sort()).toEqual(
      [
        "client.json",
        "default.nix",
        "module.nix",
        "probe",
        "server.json",
        "ssh-ng-filter.py",
        "warm.nix",
      ].map((name) => `nixos-cache/${name}`),
    );
    const text = (name: string) =>
      evaluate(`config.environment.etc."nixos-cache/${name}".text`, ours);
    expect([await text("server.json"), await text("client.json")]).toEqual([server, client]);
  });

  test("for another host they do nothing but warn", async () => {
    const ours = await withFiles({ "server.json": server, "client.json": client, host: "kalaw\n" });
    expect(await evaluate(effects, ours)).toEqual({
      ...untouched,
      warnings: [
        "nixos-cache: the settings in this folder are for the machine kalaw, so they do nothing here: take the folder out of git, and run `pulumi up`.",
      ],
    });
  });

  test("a host without a name of its own has them too", async () => {
    const ours = await withFiles({ "server.json": server, host: "\n" });
    const nameless = `${ours} ({ lib, ... }: { networking.hostName = lib.mkForce ""; })`;
    expect(await evaluate("config.services.nixos-cache.server.enable", nameless)).toBe(true);
  });

  test("settings that are no option are refused", async () => {
    const ours = await withFiles({ "server.json": '{"onlyOurKey":true}\n', host: "pai\n" });
    const { stderr } = await tryEvaluate(effects, ours);
    expect(stderr).toContain("`services.nixos-cache.server.onlyOurKey' does not exist");
  });
});

/** A name as the configuration takes it; some are numbers. */
const label = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?$/);

// biome-ignore-start lint/suspicious/noTemplateCurlyInString: Nix would read it so
const nasty = [
  '${builtins.abort "no"}',
  "''",
  '"',
  "\\",
  "\\${x}",
  "\n",
  "\u007f",
  "\u2028",
  "é😀",
  "\uffee",
];
// biome-ignore-end lint/suspicious/noTemplateCurlyInString: Nix would read it so

/** Any text that a Nix string can hold: all but NUL. */
const text = fc.oneof(
  fc.string({ unit: "grapheme" }).map((string) => string.replaceAll("\0", "")),
  fc.constantFrom(...nasty),
);

const protocol = fc.option(fc.constantFrom("ssh" as const, "ssh-ng" as const));

test("any settings come through the real Nix unchanged, and are as it writes them itself", async () => {
  const server = fc.record({
    address: text,
    port: fc.integer({ min: 1, max: 65535 }),
    hostKey: text,
    priority: fc.option(fc.nat()),
    protocol,
  });
  const samples = fc
    .sample(fc.dictionary(fc.oneof(label, text), server), 200)
    .map((servers) => settingsJson({ servers }));
  samples.push(settingsJson({ onlyOurKeys: true }), settingsJson({ onlyOurKeys: false }));
  const back = await home().on(
    "pai",
    `cat >/root/samples.json && nix-instantiate --eval --strict --json --expr \
       'map (text: builtins.toJSON (builtins.fromJSON text)) (builtins.fromJSON (builtins.readFile /root/samples.json))'`,
    JSON.stringify(samples),
  );
  expect(JSON.parse(back).map((line: string) => `${line}\n`)).toEqual(samples);
});

test("the module makes of any servers the options that NixOS documents", async () => {
  const server: fc.Arbitrary<Omit<ServerForClient, "address">> = fc.record({
    port: fc.constantFrom(22, 2222),
    hostKey: fc.constant(hostKey),
    priority: fc.option(fc.nat(100)),
    protocol,
  });
  const samples = fc
    .sample(fc.dictionary(label, server, { minKeys: 1, maxKeys: 4 }), 25)
    .map((servers) =>
      Object.fromEntries(
        Object.entries(servers).map(([name, own]) => [name, { ...own, address: `${name}.lan` }]),
      ),
    );
  await home().on("pai", "cat >/root/servers.json", JSON.stringify(samples));
  const expression = `
    map (servers:
      let
        machine = import /etc/nixpkgs/nixos/eval-config.nix {
          system = builtins.currentSystem;
          modules = [ ${folder}/module.nix { services.nixos-cache.client = { inherit servers; }; } ];
        };
        inherit (machine.config) nix programs environment;
      in {
        inherit (nix) extraOptions;
        inherit (nix.settings) fallback;
        inherit (programs.ssh) extraConfig;
        settings = environment.etc."nixos-cache/client.json".text;
      }) (builtins.fromJSON (builtins.readFile /root/servers.json))`;
  const evaluated = JSON.parse(
    await home().on("pai", 'nix-instantiate --eval --strict --json --expr "$(cat)"', expression),
  );
  const expected = samples.map((servers) => {
    const caches = Object.keys(servers)
      .sort()
      .flatMap((name) => servers[name] ?? []);
    const urls = caches.map(
      ({ address, priority, protocol }) =>
        `${protocol ?? ownProtocol}://nix-ssh@${address}${priority === null ? "" : `?priority=${priority}`}`,
    );
    const blocks = caches.map(
      ({ address, port }) =>
        `Match originalhost ${address} user nix-ssh localuser root\n  Port ${port}\n[^]*` +
        `HostKeyAlias ${address}.nixos-cache\n[^]*Match all\n`,
    );
    return {
      extraOptions: `!include /var/lib/nixos-cache/nix.conf\n\nextra-substituters = ${urls.join(" ")}\n`,
      fallback: true,
      extraConfig: expect.stringMatching(new RegExp(`^${blocks.join("")}$`)),
      settings: settingsJson({ servers }),
    };
  });
  expect(evaluated).toEqual(expected);
});

test("signing keys made by node-forge are Nix's own", async () => {
  for (let i = 0; i < 20; i++) {
    const { privateKey, publicKey } = generateSigningKeypair("kalaw");
    expect(await home().on("pai", "nix key convert-secret-to-public", privateKey)).toBe(publicKey);
  }
});
