import { describe, expect, test } from "vitest";
import { buildNewPath, fetchPath } from "../../dev/lab/demonstration.ts";
import type { Suite } from "../../dev/lab/suite.ts";
import { until } from "../../dev/lab/until.ts";
import { identity, refusal, signingKeysOf, tryKey } from "../rotation/keys.ts";
import { openSession } from "../rotation/session.ts";
import { stopAt } from "../safety/moment.ts";
import { useHome } from "./home.ts";

// A home whose machines are of two ages: sid's OpenSSH and Nix are those of NixOS unstable, trixie's a year older.
describe.each<{ server: Suite; client: Suite }>([
  { server: "sid", client: "trixie" },
  { server: "trixie", client: "sid" },
])("a server made from $server and a client made from $client", ({ server, client }) => {
  const home = useHome([
    { name: "kalaw", suite: server },
    { name: "pai", suite: client },
  ]);

  async function newPathReachesPai(): Promise<string> {
    const path = await buildNewPath(home().lab, "kalaw");
    return (await fetchPath(home().lab, "pai", path)).signedBy;
  }

  /** A preview that finds nothing to do, no drift, and nothing to warn of. */
  async function nothingToDo(): Promise<void> {
    const { stdout, stderr } = await home().stack.run(["preview", "--expect-no-changes"]);
    expect(stdout + stderr).not.toMatch(/warning|drifted|unknown/);
  }

  test("are as old as they are said to be", async () => {
    const versions = async (host: string) =>
      Number(/OpenSSH_(\d+\.\d+)/.exec(await home().on(host, "ssh -V 2>&1"))?.[1]);
    const [old, recent] = server === "sid" ? ["pai", "kalaw"] : ["kalaw", "pai"];
    expect(await versions(old as string)).toBe(10);
    expect(await versions(recent as string)).toBeGreaterThan(10.4);
  });

  test("the first up, a path that is fetched, and no drift", async () => {
    await home().up();
    expect(await newPathReachesPai()).toMatch(/^kalaw-/);
    await nothingToDo();
  });

  // By which it goes on below, so both have been at work here.
  test("a client fetches by the protocol that its Nix is good at, or as it is told to", async () => {
    const protocol = async () =>
      /(ssh|ssh-ng):\/\/nix-ssh@kalaw/.exec(await home().on("pai", "cat /etc/nix/nix.conf"))?.[1];
    const [own, other] = client === "sid" ? ["ssh-ng", "ssh"] : ["ssh", "ssh-ng"];
    expect(await protocol()).toBe(own);
    await home().set("clients.pai.protocol", other as string);
    await home().up();
    expect(await protocol()).toBe(other);
    expect(await newPathReachesPai()).toMatch(/^kalaw-/);
    await nothingToDo();
  });

  test("new keys: what is fetched is signed by the new one, and the old one's session ends and its login is refused", async () => {
    await home().on("pai", `cp -p ${identity} /root/old`);
    expect(await tryKey(home(), "pai", "/root/old")).toBe("let in");
    const [signedBy] = await signingKeysOf(home());
    const session = await openSession(home(), "pai");
    await home().stack.run(["config", "set", "nixos-cache:rotation", "2"]);
    await home().up();
    await until(async () => session.hasEnded(), {
      seconds: 10,
      otherwise: "the session of the old key goes on",
    });
    expect(await tryKey(home(), "pai", "/root/old")).toContain(refusal);
    expect(await newPathReachesPai()).not.toBe(signedBy);
    await nothingToDo();
  });

  test("a power cut on trial: the machine made from sid is as before, and the next up goes through", async () => {
    const host = server === "sid" ? "kalaw" : "pai";
    const before = await home().on(host, "readlink -f /nix/var/nix/profiles/system");
    if (host === "kalaw") await home().set("servers.kalaw.onlyOurKeys", "true");
    else await home().set("clients.pai.priority", "30");
    const update = home().failingUp();
    await stopAt(home(), host, "it waits");
    await home().lab.powerOff(host);
    await home().lab.powerOn(host);
    await update;
    expect(await home().on(host, "readlink -f /run/current-system")).toBe(before);

    await home().up();
    expect(await home().on(host, "readlink -f /run/current-system")).not.toBe(before);
    await newPathReachesPai();
    await nothingToDo();
  });

  test("with the server off, a build goes on", async () => {
    await home().lab.powerOff("kalaw");
    const unknown = [..."0123456789"].map((digit) => `/nix/store/${digit.repeat(32)}-unknown`);
    const start = performance.now();
    const { stderr } = await home().tryOn("pai", `nix-store --realise ${unknown.join(" ")}`);
    expect(stderr).toContain("nixos-cache: kalaw port 22 is unreachable");
    expect(performance.now() - start).toBeLessThan(20_000);
    expect(await buildNewPath(home().lab, "pai")).toMatch(/-hello$/);
  });
});
