import { expect, test } from "vitest";
import { CacheClient } from "../../components/cache-client.ts";
import { CacheServer } from "../../components/cache-server.ts";
import { declare } from "./declare.ts";
import type { Case } from "./declared-cases.ts";

type Row = [component: Case["component"], path: string, value: unknown, words: string];

const inputs: Row[] = [
  ["server", "connection.host", "kalaw; id", "is no host name or IP address"],
  ["server", "connection.host", undefined, "is missing"],
  ["server", "connection.port", "22", "is no port"],
  ["client", "connection.user", "me; id", "is no user's name"],
  ["client", "connection.jump", { host: "gate; id" }, "is no host name or IP address"],
  ["client", "connection.privateKey", 5, "is no text"],
  ["server", "address", "kalaw\nProxyCommand id", "is no host name or IP address"],
  ["server", "port", 70000, "is no port"],
  ["server", "onlyOurKeys", "false", "is neither true nor false"],
  ["server", "clientSettings", "x", "is no client's settings"],
  ["server", "warm.flake", "me/machines; id", "is no flake for a server"],
  ["server", "rotation", { a: 1 }, "is no text"],
  ["client", "priority", 2 ** 31, "is no priority"],
  ["client", "protocol", "ssh-ng; id", "is no protocol of Nix"],
  ["client", "confirmWithin", "70; reboot", "is no number of seconds"],
  ["client", "onlyOurs", "false", "is neither true nor false"],
  ["server", "takeOver", "false", "is neither true nor false"],
  ["server", "rebuild.by", "owner; id", "is neither pulumi nor owner"],
  ["server", "rebuild.from", "$(id)", "is neither flake nor channel"],
  ["client", "rebuild.attribute", "a b", "is no attribute of a flake"],
];
const plain: Row[] = [
  ["client", "gone", "false", "is neither true nor false"],
  ["client", "plan", "false", "is neither true nor false"],
  ["server", "silent", 1, "is neither true nor false"],
  ["server", "drift", {}, "is no drift"],
  ["client", "mayBeOff", "false", "is neither true nor false"],
  ["client", "away", "true", "is neither true nor false"],
  ["client", "taken", [], "is no set"],
  ["client", "server", undefined, "is no CacheServer"],
  ["client", "server", [], "is empty"],
  [
    "client",
    "server",
    { name: "nas", address: "nas", port: 22, hostKey: "x" },
    "is no SSH public key",
  ],
  ["server", "otherClients", "ssh-ed25519 AAAA", "is no group of clients"],
  ["server", "otherClients", { "a;b": "x" }, "is no client's name"],
  [
    "server",
    "otherClients",
    { laptop: "ssh-ed25519 AAAA\nx" },
    "is no ed25519 or ECDSA public key",
  ],
  ["server", "otherClients", { laptop: 5 }, "is no client of another stack"],
  ["client", "connection", undefined, "is missing"],
  ["server", "connection.hostkey", "x", "is no argument"],
  ["server", "onlyOurKey", true, "is no argument: write one of connection, "],
];

test("an argument that is wrong is named, with its component, and no step is registered", async () => {
  const rows = [
    ...inputs.flatMap((row) => [true, false].map((output) => [...row, output] as const)),
    ...plain.map((row) => [...row, false] as const),
    // What decides what is declared cannot wait for an Output.
    ...plain.slice(0, 3).map(([component, path, , words]) => {
      return [component, path, true, words, true] as const;
    }),
  ];
  const cases = rows.map(([component, path, value, reason, output], i) => ({
    ...{ name: `case-${i}`, component, path, value, output, reason },
  }));
  const { registered, refused } = await declare(cases);
  for (const { name, path, value, output, reason } of cases) {
    const what = `${path} ${JSON.stringify(value)}${output ? " as an Output" : ""}`;
    const own = refused.filter((words) => words.includes(`${name}: `));
    expect(own, what).not.toEqual([]);
    for (const words of own) expect(words, what).toContain(`${name}: ${path}`);
    expect(own.join("\n"), what).toContain(reason);
    const steps = registered.filter(
      (line) =>
        line.startsWith(`command:remote:`) &&
        line.includes(` ${name}-`) &&
        !line.endsWith("-authorization-kalaw"),
    );
    // An Output that is wrong ends what it would have been part of.
    if (!output || path.startsWith("connection.")) expect(steps, what).toEqual([]);
    else if (!["address", "port", "rotation"].includes(path)) {
      expect(steps.join("\n"), what).not.toMatch(/-(signing|identity|access-kalaw)$/m);
    }
  }
}, 30_000);

test("all mistakes are told at once", () => {
  const make = () =>
    new CacheServer("kalaw", { connection: { host: "a b" }, onlyOurs: "no" } as never);
  expect(make).toThrow(
    /^kalaw: connection\.host is no host name.*\nkalaw: connection\.hostKey is missing: .*\nkalaw: onlyOurs is neither/,
  );
  expect(() => new CacheServer("kalaw", undefined as never)).toThrow(
    "kalaw: connection is missing",
  );
  expect(() => new CacheClient("pai", undefined as never)).toThrow("pai: connection is missing");
});

test.each(["", "kalaw;id", "a b", "a\nb", "-x", "$(id)", "büro", "x".repeat(64)])(
  "%j is no component's name",
  (name) => {
    const hostKey = "ssh-ed25519 AAAA";
    const make = () => new CacheServer(name, { connection: { host: "kalaw", hostKey } });
    expect(make).toThrow(`${name}: name is no component's name`);
  },
);

test("a name that is no host name needs an address", () => {
  const hostKey = "ssh-ed25519 AAAA";
  const make = () => new CacheServer("kalaw.1", { connection: { host: "kalaw", hostKey } });
  expect(make).toThrow("kalaw.1: address is no host name");
});
