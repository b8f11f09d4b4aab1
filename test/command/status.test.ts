import { expect, test } from "vitest";
import type { MachineStatus } from "../../cli/machine-status.ts";
import { useHome } from "../system/home.ts";
import { nixosCache } from "./nixos-cache.ts";

const home = useHome(["kalaw", "pai", "inle"], { after: "up" });

async function statusOf(): Promise<Record<string, MachineStatus>> {
  const { stdout, stderr } = await nixosCache(home(), ["status", "--json"]);
  expect(stderr).toBe("");
  const machines = JSON.parse(stdout) as MachineStatus[];
  return Object.fromEntries(machines.map((machine) => [machine.name, machine]));
}

test("try: a new path is built on kalaw and fetched by each client", async () => {
  const { stdout, stderr, code } = await nixosCache(home(), ["try"]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  expect(stdout).toMatch(/kalaw built \/nix\/store\/[0-9a-z]{32}-nixos-cache-try in \d+ ms/);
  for (const client of ["pai", "inle"]) {
    const words = `${client} fetched it in \\d+ ms, signed by kalaw-\\d{8}T\\d{6}Z`;
    expect(stdout).toMatch(new RegExp(words));
  }
});

test("status: all is well, and pai has just fetched", async () => {
  const { kalaw, pai } = await statusOf();
  expect(kalaw).toMatchObject({ role: "serves", reachable: true, drift: [], notes: [] });
  expect(pai).toMatchObject({ role: "fetches", reachable: true, drift: [], notes: [] });
  expect(Date.now() - Date.parse(kalaw?.keysCreated.signing ?? "")).toBeGreaterThan(0);
  expect(Date.now() - Date.parse(pai?.keysCreated.ssh ?? "")).toBeGreaterThan(0);
  expect(pai?.fetched).toMatchObject([{ server: "kalaw", paths: expect.any(Number) }]);
  const [{ paths = 0, bytes = 0, last = "" } = {}] = pai?.fetched ?? [];
  expect(paths).toBeGreaterThan(0);
  expect(bytes).toBeGreaterThan(0);
  const now = Number(await home().on("pai", "date +%s"));
  expect(Math.abs(now - Date.parse(last) / 1000)).toBeLessThan(600);
  for (const machine of [kalaw, pai]) {
    expect(machine?.store?.paths).toBeGreaterThan(0);
    expect(machine?.free).toBeGreaterThan(0);
  }
});

test("one machine is off, one has drifted, one has just fetched: a person sees it at a glance, and what to try next", async () => {
  await home().on("pai", "echo >>/var/lib/nixos-cache/nix.conf");
  await home().lab.powerOff("kalaw");
  const [{ kalaw, pai }, seen, tried] = await Promise.all([
    statusOf(),
    nixosCache(home(), ["status"]),
    nixosCache(home(), ["try"]),
  ]);
  expect(kalaw).toMatchObject({ reachable: false, drift: [] });
  expect(kalaw?.reason).toMatch(/port 22/);
  expect(pai?.drift).toEqual(["nix.conf was changed by hand (lines added: 1, missing: 0)"]);

  expect(seen.stdout).toMatch(/kalaw +│ serves +│ not reached: /);
  expect(seen.stdout).toMatch(/pai +│ fetches +│ drift: nix.conf was/);
  expect(seen.stdout).toMatch(/inle +│ fetches +│ as it should be +│ SSH: .* │ kalaw: .* ago/);
  const widths = seen.stdout.split("\n").map((line) => line.length);
  expect(Math.max(...widths)).toBeLessThanOrEqual(120);

  expect(tried.code).toBe(1);
  expect(tried.stdout + tried.stderr).toMatch(/port 22/);
  expect(tried.stderr).toMatch(/One try failed: `nixos-cache doctor` looks for the cause\./);
});
