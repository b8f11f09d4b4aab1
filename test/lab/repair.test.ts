import { existsSync, readdirSync, readFileSync } from "node:fs";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Cgroup } from "../../dev/lab/cgroup.ts";
import type { Lab } from "../../dev/lab/lab.ts";
import { until } from "../../dev/lab/until.ts";
import { throwAway, throwawayLab } from "./throwaway-lab.ts";

let lab: Lab;
const report = (line: string) => console.log(line);

beforeAll(async () => {
  lab = await throwawayLab();
  await lab.up(report);
});
afterAll(() => throwAway(lab));

const group = (host: string) => new Cgroup(`nixcache-${lab.id}-${host}`);
const state = async (host: string) =>
  (await lab.status()).find((status) => status.host === host)?.state;

/** Up again, and all is as it should be. */
async function expectRepaired(): Promise<void> {
  await lab.up(report);
  for (const { host, state } of await lab.status()) {
    expect(state).toBe("running");
    const { stdout } = await lab.exec(host, ["systemctl", "is-system-running"]);
    expect(stdout).toBe("running\n");
  }
  expect((await lab.exec("pai", ["ping", "-c", "1", "-W", "5", "kalaw"])).code).toBe(0);
  expect((await lab.exec("kalaw", ["ping", "-c", "1", "-W", "5", "pai"])).code).toBe(0);
}

test("systemd-nspawn was killed: the host is off, and up boots it with its disk", async () => {
  await lab.exec("pai", ["sh", "-c", "echo kept > /root/disk && sync"]);
  const [nspawn = 0] = await group("pai").processes("machine/supervisor");
  expect(readFileSync(`/proc/${nspawn}/comm`, "utf8")).toBe("systemd-nspawn\n");
  process.kill(nspawn, "SIGKILL");
  const isOff = async () => (await state("pai")) === "off";
  await until(isOff, { seconds: 10, otherwise: "pai is not off" });
  await expectRepaired();
  expect((await lab.exec("pai", ["cat", "/root/disk"])).stdout).toBe("kept\n");
});

test("a namespace was unmounted: up makes it again", async () => {
  for (const owner of ["operator", "kalaw"]) {
    await execa("umount", ["--lazy", join(lab.folder, "net", owner)]);
    await expectRepaired();
  }
});

test("a link was deleted: up makes it again, and the host goes on running", async () => {
  const bootTime = () => lab.exec("kalaw", ["cut", "-d ", "-f22", "/proc/1/stat"]);
  const before = await bootTime();
  expect((await lab.exec("kalaw", ["ip", "link", "delete", "eth0"])).code).toBe(0);
  await expectRepaired();
  expect(await bootTime()).toEqual(before);
});

test("the computer was rebooted: no process, no mount, no group, only the folder", async () => {
  for (const host of lab.hosts) await group(host).kill();
  for (const owner of readdirSync(join(lab.folder, "net")))
    await execa("umount", ["--lazy", join(lab.folder, "net", owner)]);
  expect((await lab.status()).map(({ state }) => state)).toEqual(["off", "off"]);
  await expect(lab.powerOn("pai")).rejects.toThrow('the lab is not up: run "npm run lab -- up"');
  await expectRepaired();
  expect((await lab.exec("pai", ["cat", "/root/disk"])).stdout).toBe("kept\n");
});

test("a host was half made: up makes it from the start", async () => {
  await lab.powerOff("kalaw");
  const folder = join(lab.folder, "hosts", "kalaw");
  await rm(join(folder, "made"));
  await writeFile(join(folder, "made.new"), "half");
  expect(await state("kalaw")).toBe("not made");
  await expectRepaired();
});

test("the first rebuild was interrupted: up does it again", async () => {
  await rm(join(lab.folder, "hosts", "pai", "switched"));
  const said: string[] = [];
  await lab.up((line) => said.push(line));
  expect(said).toContain("pai: nixos-rebuild switch");
  expect(said).not.toContain("kalaw: nixos-rebuild switch");
});

test("the base tree was deleted: up makes all hosts anew, and forgets their stack", async () => {
  await lab.exec("pai", ["touch", "/root/old"]);
  // Not the real tree, which other labs use: the host only remembers another one.
  await writeFile(join(lab.folder, "hosts", "kalaw", "made"), "/no/such/tree");
  await mkdir(join(lab.folder, "stack"));
  await expectRepaired();
  expect((await lab.exec("pai", ["ls", "/root/old"])).code).not.toBe(0);
  expect(existsSync(join(lab.folder, "stack"))).toBe(false);
});
