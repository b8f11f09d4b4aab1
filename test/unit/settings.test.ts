import fc from "fast-check";
import { expect, test } from "vitest";
import {
  identityInput,
  type ServerForClient,
  serversForClient,
  settingsJson,
} from "../../components/settings.ts";

const hostKey = "ssh-ed25519 AAAA";

test("settings are one line of JSON without spaces, keys sorted", () => {
  const nas: ServerForClient = {
    port: 22,
    address: "nas.lan",
    priority: null,
    protocol: null,
    hostKey,
  };
  const kalaw: ServerForClient = {
    protocol: "ssh-ng",
    hostKey,
    priority: 30,
    port: 2222,
    address: "kalaw",
  };
  expect(settingsJson({ servers: { nas, kalaw } })).toBe(
    `{"servers":{"kalaw":{"address":"kalaw","hostKey":"${hostKey}","port":2222,"priority":30,"protocol":"ssh-ng"},` +
      `"nas":{"address":"nas.lan","hostKey":"${hostKey}","port":22,"priority":null,"protocol":null}}}\n`,
  );
  expect(settingsJson({ onlyOurKeys: true })).toBe('{"onlyOurKeys":true}\n');
  const warm = { systems: ["pai", "nas"], flake: "/srv", startAt: "daily", user: null, keep: 3 };
  expect(settingsJson({ warm: { ...warm, maxSize: "50G" }, onlyOurKeys: false })).toBe(
    '{"onlyOurKeys":false,"warm":{"flake":"/srv","keep":3,"maxSize":"50G","startAt":"daily","systems":["pai","nas"],"user":null}}\n',
  );
});

test("a server whose name is a number is in the order of text, as Nix sorts it", () => {
  const servers = Object.fromEntries(["10", "9", "kalaw"].map((name) => [name, serverNamed(name)]));
  const names = [...settingsJson({ servers }).matchAll(/"address":"(\w+)"/g)].map(([, n]) => n);
  expect(names).toEqual(["10", "9", "kalaw"]);
});

test("the same settings are the same text, whatever order they were written in", () => {
  fc.assert(
    fc.property(fc.shuffledSubarray(["a", "b", "c", "d"], { minLength: 4 }), (names) => {
      const servers = (names: string[]) =>
        Object.fromEntries(names.map((name) => [name, serverNamed(name)]));
      expect(settingsJson({ servers: servers(names) })).toBe(
        settingsJson({ servers: servers([...names].sort()) }),
      );
    }),
  );
});

test("an identity comes with a line for each server, an empty line, and the key", () => {
  const servers = ["kalaw", "nas"].map((address) => ({
    address,
    port: 22,
    hostKey,
    trustedPublicKey: `${address}-1:abc=`,
  }));
  expect(identityInput(servers, "-----BEGIN\n")).toBe(
    `kalaw 22 ${hostKey} kalaw-1:abc=\nnas 22 ${hostKey} nas-1:abc=\n\n-----BEGIN\n`,
  );
});

test("a server of another stack says how its client gets on with its key there", () => {
  const nas = { address: "nas", port: 22, hostKey, trustedPublicKey: "nas-1:abc=" };
  expect(
    identityInput(
      [
        { ...nas, whose: "other" },
        { ...nas, whose: "waits" },
      ],
      "key",
    ),
  ).toBe(`nas 22 ${hostKey} nas-1:abc= other\nnas 22 ${hostKey} nas-1:abc= waits\n\nkey`);
});

test("servers are asked in the order of the list, from the priority of the first", () => {
  const priorities = (names: string[], priority?: number) => {
    const servers = names.map((name) => ({ name, address: name, port: 22, hostKey }));
    const settings = Object.entries(serversForClient("pai", servers, { priority }));
    return Object.fromEntries(settings.map(([name, { priority }]) => [name, priority]));
  };
  expect(priorities(["nas", "kalaw"])).toEqual({ nas: 0, kalaw: 1 });
  expect(priorities(["nas", "kalaw"], 30)).toEqual({ nas: 30, kalaw: 31 });
  expect(priorities(["nas"], 30)).toEqual({ nas: 30 });
  // Alone it is left to Nix, as it was before there could be others.
  expect(priorities(["nas"])).toEqual({ nas: null });
});

test("two servers of one name or address are refused, for of other stacks' that shows late", () => {
  const kalaw = { name: "kalaw", address: "kalaw.lan", port: 22, hostKey };
  expect(() => serversForClient("pai", [kalaw, { ...kalaw, address: "nas" }])).toThrow(
    "pai: server has kalaw twice as a name: pass each server once",
  );
  expect(() => serversForClient("pai", [kalaw, { ...kalaw, name: "nas", port: 2200 }])).toThrow(
    "pai: server has kalaw.lan twice as an address: pass each server once",
  );
});

function serverNamed(address: string): ServerForClient {
  return { address, port: 22, hostKey, priority: null, protocol: null };
}
