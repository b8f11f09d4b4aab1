import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { Answer } from "../../cli/answer.ts";
import { found, seenAt } from "../../cli/init/found.ts";
import { importLines } from "../../cli/init/import-lines.ts";
import { machineSpec } from "../../cli/init/machine-spec.ts";
import { placesOf } from "../../cli/init/server-address.ts";
import { settingsOf, stackFile } from "../../cli/init/stack-file.ts";
import { UsersSsh } from "../../cli/init/users-ssh.ts";
import { detourInWords } from "../../cli/init/way-there.ts";

const hostKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB";

describe("a machine, as a person names it", () => {
  test.each([
    ["kalaw", { host: "kalaw" }],
    ["root@kalaw.lan", { user: "root", host: "kalaw.lan" }],
    [" 192.0.2.11:2222 ", { host: "192.0.2.11", port: 2222 }],
    ["nuc=fay@my_alias:22", { name: "nuc", user: "fay", host: "my_alias", port: 22 }],
  ])("%s", (text, spec) => expect(machineSpec(text)).toEqual(spec));

  test.each([
    "",
    "@kalaw",
    "kalaw:0",
    "kalaw:99999",
    "ssh://kalaw",
    "-oProxyCommand=x",
    "a b",
    "x@-F",
  ])("%j is none", (text) =>
    expect(() => machineSpec(text)).toThrow("write it like root@kalaw.lan"),
  );
});

describe("the import line, for that very file", () => {
  test("beside our folder, without imports", () => {
    expect(importLines({ file: "/etc/nixos/configuration.nix", line: 0 }, "/etc/nixos")).toEqual([
      "Add to /etc/nixos/configuration.nix, inside its outermost { }:",
      "  imports = if builtins.pathExists ./nixos-cache then [ ./nixos-cache ] else [ ];",
    ]);
  });

  test("in a flake that has all in one file", () => {
    expect(importLines({ file: "/home/fay/nixos/flake.nix", line: 7 }, "/home/fay/nixos")).toEqual([
      "Add to /home/fay/nixos/flake.nix, to the list modules of this machine:",
      "  { imports = if builtins.pathExists ./nixos-cache then [ ./nixos-cache ] else [ ]; }",
    ]);
  });

  test("in a folder below, with imports", () => {
    expect(importLines({ file: "/etc/nixos/hosts/pai/pai.nix", line: 3 }, "/etc/nixos")).toEqual([
      "In /etc/nixos/hosts/pai/pai.nix add this before the ; that ends the list of imports, which begins in line 3:",
      "  ++ (if builtins.pathExists ../../nixos-cache then [ ../../nixos-cache ] else [ ])",
    ]);
  });
});

describe("what was found", () => {
  const lines = [
    "nixos\t25.11",
    "nix\t2.31.2",
    "hostname\tpai",
    `host-key\t${hostKey}`,
    "folder\t/etc/nixos",
    "from\tflake",
    "owner\troot",
    "repository\t/etc/nixos",
    "git",
    "module\t/etc/nixos/hosts/pai.nix\t4",
  ];
  const look = (...more: string[]) =>
    found(new Answer([...more, ...lines, "end", ""].join("\n")), "pai.lan");
  const without = (kind: string) => () =>
    found(
      new Answer([...lines.filter((line) => line.split("\t")[0] !== kind), "end", ""].join("\n")),
      "pai.lan",
    );

  test("a machine without the import line", () => {
    expect(look()).toEqual({
      hostname: "pai",
      hostKey,
      folder: "/etc/nixos",
      module: { file: "/etc/nixos/hosts/pai.nix", line: 4 },
      words: [
        "NixOS 25.11, Nix 2.31.2",
        "/etc/nixos: a flake of root, in the git repository /etc/nixos",
        "import line: missing",
      ],
    });
  });

  test("one with it, and with a cache set up by hand", () => {
    const { words, module } = look(
      "imported\t/etc/nixos/base.nix",
      "serves",
      "fetches\tssh://nix-ssh@nuc",
    );
    expect(module).toBeUndefined();
    expect(words.slice(2)).toEqual([
      "import line: in /etc/nixos/base.nix",
      "set up before: it serves by nix.sshServe, it fetches from ssh://nix-ssh@nuc",
    ]);
  });

  test("one that its owner deploys needs no import line", () => {
    const { deployed, module } = look("deployed\tcomin");
    expect({ deployed, module }).toEqual({ deployed: "comin", module: undefined });
  });

  test.each([
    ["nixos", "pai.lan does not run NixOS"],
    ["host-key", "pai.lan has neither an ed25519 nor an ECDSA host key"],
    ["from", "pai.lan has neither flake.nix nor configuration.nix in /etc/nixos"],
    ["git", "pai.lan has a git repository in /etc/nixos, and no git for root"],
  ])("without %s it has no part in this", (kind, words) => expect(without(kind)).toThrow(words));

  test("a host key that is none is not taken", () => {
    expect(() => look("host-key\tssh-ed25519 AAAA")).toThrow("host key");
  });

  test("how a client sees its server", () => {
    const answer = new Answer(
      `sees\ta\t${hostKey}\nsees\tb\tssh-ed25519 x\nsees\tc\t\nunknown\td\nend\n`,
    );
    expect(["a", "b", "c", "d"].map((address) => seenAt(answer, address, hostKey))).toEqual([
      "seen",
      "another",
      "silent",
      "unknown",
    ]);
  });
});

test("a machine that the user's ssh does not reach directly, by what ssh itself makes of its configuration", async () => {
  const folder = mkdtempSync(join(tmpdir(), "init-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const file = join(folder, "ssh_config");
  writeFileSync(
    file,
    `Host one
  ProxyJump fay@gate:2222
Host two
  ProxyJump gate,door
Host three
  ProxyCommand connect %h
Host four
  HostName 2001:db8::b
  ProxyJump none
`,
  );
  const said = async (host: string) =>
    detourInWords(host, (await new UsersSsh(file).place({ host })).detour);
  expect(await said("one")).toMatch(
    /^your ssh reaches one by the jump host fay@gate:2222, .* add it to the stack file by hand with connection\.jump: /,
  );
  expect(await said("two")).toMatch(
    /^your ssh reaches two by several jump hosts \(gate,door\), and /,
  );
  expect(await said("three")).toMatch(/^your ssh reaches three by a program \(ProxyCommand\), /);
  expect(await said("four")).toBeUndefined();
});

describe("the addresses by which clients may see a server", () => {
  const places = (host: string) =>
    placesOf({
      name: "kalaw",
      place: { host, port: 22, user: "root" },
      hostKey,
      isDeployed: false,
    });

  test.each(["192.0.2.11", "2001:db8::b", "fd00::b"])("its name before the address %s", (host) =>
    expect(places(host)).toEqual(["kalaw", "22", host, "22"]),
  );

  test("the name that the operator reaches it by before its own", () =>
    expect(places("kalaw.lan")).toEqual(["kalaw.lan", "22", "kalaw", "22"]));
});

describe("the stack file", () => {
  const machine = (name: string, user = "root", isDeployed = false, port = 22) => ({
    name,
    place: { host: `${name}.lan`, port, user },
    hostKey,
    isDeployed,
  });

  test("as a person would write it", () => {
    const stack = {
      servers: [{ ...machine("kalaw"), address: "kalaw.lan" }],
      clients: [machine("pai", "fay", true, 2222), machine("kalaw")],
    };
    expect(stackFile({ ...stack, clients: stack.clients.slice(0, 1) })).toBe(`config:
  nixos-cache:servers:
    kalaw:
      connection:
        host: kalaw.lan
        hostKey: ${hostKey}
      address: kalaw.lan
  nixos-cache:clients:
    pai:
      connection:
        host: pai.lan
        port: 2222
        user: fay
        hostKey: ${hostKey}
      rebuild:
        by: owner
      servers: [kalaw]
`);
    expect(settingsOf(stack).clients).toMatchObject({ kalaw: { servers: [] } });
  });

  test("what YAML would take for something else is in quotes", () => {
    const text = stackFile({
      servers: [
        { ...machine("12"), place: { host: "192.0.2.11", port: 22, user: "no" }, address: "on" },
      ],
      clients: [],
    });
    expect(text).toContain('    "12":\n');
    expect(text).toContain('host: "192.0.2.11"');
    expect(text).toContain('user: "no"');
    expect(text).toContain('address: "on"');
    expect(text).not.toContain("clients");
  });
});
