import { existsSync } from "node:fs";
import { mkdir, rm, symlink } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { afterEach, expect, test } from "vitest";
import { Lab } from "../../dev/lab/lab.ts";
import { throwAway, throwawayLab, tracesOf } from "./throwaway-lab.ts";

const report = (line: string) => console.log(line);
const labs: Lab[] = [];

afterEach(async () => {
  for (const lab of labs.splice(0)) await throwAway(lab);
});

async function newLab(hosts?: string[]): Promise<Lab> {
  const lab = await throwawayLab(hosts);
  labs.push(lab);
  return lab;
}

/** What the lab must not touch: this computer's own network. */
async function ownNetwork(): Promise<string> {
  const links = await execa("ip", ["-brief", "link"]);
  const routes = await execa("ip", ["route", "show", "table", "all"]);
  return links.stdout + routes.stdout;
}

test("up leaves this computer's network alone, down leaves nothing, twice is fine", async () => {
  const lab = await newLab();
  const network = await ownNetwork();
  await lab.down(report);
  expect(existsSync(lab.folder)).toBe(false);

  await lab.up(report);
  expect(await ownNetwork()).toBe(network);
  expect(await tracesOf(lab)).not.toEqual([]);
  // Somebody in the middle of something: on a host, and where the operator works.
  const busy = await lab.command("kalaw", ["sleep", "1000"]);
  const sleepers = [busy, [...lab.enter, "sleep", "1000"]].map(([command = "", ...args]) =>
    execa(command, args, { reject: false }),
  );

  await lab.down(report);
  for (const sleeper of sleepers) expect((await sleeper).failed).toBe(true);
  expect(await tracesOf(lab)).toEqual([]);
  expect(existsSync(lab.folder)).toBe(false);
  expect(await ownNetwork()).toBe(network);
  await lab.down(report);
  expect((await lab.status()).map(({ state }) => state)).toEqual(["not made", "not made"]);
  await expect(lab.exec("kalaw", ["true"])).rejects.toThrow('run "npm run lab -- up"');
});

test("down ends a lab that is half made, and one whose files somebody has deleted", async () => {
  const lab = await newLab(["alone"]);
  await mkdir(join(lab.folder, "hosts", "alone", "upper", "etc"), { recursive: true });
  await mkdir(join(lab.folder, "net"));
  await lab.down(report);
  expect(existsSync(lab.folder)).toBe(false);

  await lab.up(report);
  await rm(join(lab.folder, "hosts"), { recursive: true });
  await lab.down(report);
  expect(await tracesOf(lab)).toEqual([]);
  expect(existsSync(lab.folder)).toBe(false);
});

test("down leaves files alone that are not the lab's", async () => {
  const lab = await newLab(["alone"]);
  const own = join(lab.folder, "notes");
  await mkdir(own, { recursive: true });
  await lab.up(report);
  await lab.down(report);
  expect(existsSync(own)).toBe(true);
});

test("two labs side by side do not meet, and two commands on one take turns", async () => {
  const one = await newLab(["same"]);
  const other = await newLab(["same"]);
  const said: string[] = [];
  // The second and third are the same lab, by two names for its folder.
  await symlink(join(other.folder, ".."), `${one.folder}-link`);
  const alias = new Lab(join(`${one.folder}-link`, "lab"), ["same"]);
  expect(alias.id).toBe(other.id);
  await Promise.all([
    one.up(report),
    other.up((line) => said.push(line)),
    alias.up((line) => said.push(line)),
  ]);
  expect(said.filter((line) => line.includes("waiting for it"))).toContain(
    "Another command is at work on this lab; waiting for it",
  );
  expect(said.filter((line) => line === "same: making it")).toHaveLength(1);

  expect(one.address("same")).toBe(other.address("same"));
  expect(await one.hostKey("same")).not.toBe(await other.hostKey("same"));
  await one.exec("same", ["touch", "/root/in-one"]);
  expect((await other.exec("same", ["ls", "/root"])).stdout).toBe("");

  await one.down(report);
  expect((await other.status())[0]?.state).toBe("running");
  expect((await other.exec("same", ["systemctl", "is-system-running"])).stdout).toBe("running\n");
});
