import { afterEach, expect, test, vi } from "vitest";
import { sortsByName } from "../../dev/lab/lab-host.ts";

afterEach(() => vi.unstubAllEnvs());

test("a host is a git flake on trixie unless it says otherwise", () => {
  vi.stubEnv("NIXOS_CACHE_SUITE", "");
  const sorts = sortsByName(["kalaw", { name: "pai", kind: "channel", suite: "sid" }]);
  expect([...sorts]).toEqual([
    ["kalaw", { kind: "git", suite: "trixie" }],
    ["pai", { kind: "channel", suite: "sid" }],
  ]);
});

test("NIXOS_CACHE_SUITE is for the hosts that do not say", () => {
  vi.stubEnv("NIXOS_CACHE_SUITE", "sid");
  const sorts = sortsByName(["kalaw", { name: "pai", suite: "trixie" }]);
  expect([...sorts.values()].map(({ suite }) => suite)).toEqual(["sid", "trixie"]);
});

test("a suite that there is no host of is refused, with those that there are", () => {
  vi.stubEnv("NIXOS_CACHE_SUITE", "bookworm");
  expect(() => sortsByName(["kalaw"])).toThrow(
    'NIXOS_CACHE_SUITE: no hosts are made from "bookworm", but from trixie and sid',
  );
});
