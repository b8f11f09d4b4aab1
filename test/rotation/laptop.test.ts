import { expect, test } from "vitest";
import { buildNewPath, fetchPath } from "../../dev/lab/demonstration.ts";
import { useHome } from "../system/home.ts";
import { bare, keysOf, signingKeysOf, storedKeypair } from "./keys.ts";

/** pai is a laptop: off when kalaw is set up, and where the operator cannot reach it during a rotation. */
const home = useHome();

const publicKey = async () => bare((await storedKeypair(home(), "pai-key")).publicKey);
const signingKey = async () => (await storedKeypair(home(), "kalaw-signing-key")).name ?? "";

async function newPathReachesPai(): Promise<void> {
  await fetchPath(home().lab, "pai", await buildNewPath(home().lab, "kalaw"));
}

/** The steps on pai that a preview shows: what an update would do there. */
async function wouldDoOnPai(): Promise<string[]> {
  const { stdout } = await home().stack.run(["preview"]);
  return [...new Set(stdout.match(/\bpai-(helper|settings|identity)\b/g))].sort();
}

/** An update that leaves pai for later, without a failure. */
async function upWithoutPai(reason: string): Promise<void> {
  const { stdout, stderr } = await home().up();
  expect(stdout + stderr).toMatch(
    new RegExp(`warning: pai is off or elsewhere, as it may be: ${reason}`),
  );
}

test("off at the first up: kalaw is set up, and pai is left for later", async () => {
  await home().set("clients.pai.mayBeOff", "true");
  await home().lab.powerOff("pai");
  expect(await wouldDoOnPai()).toEqual([]);
  await upWithoutPai("(there is no way to \\S+ port 22|\\S+ port 22 did not answer in time)");
  expect(await keysOf(home(), "pai")).toEqual([await publicKey()]);
  expect(await home().on("kalaw", "cat /etc/nixos/nixos-cache/server.json")).toContain("only");
});

test("on: it is set up", async () => {
  await home().lab.powerOn("pai");
  expect(await wouldDoOnPai()).toEqual(["pai-helper", "pai-identity", "pai-settings"]);
  await home().up();
  await newPathReachesPai();
});

test("not reached in two rotations: it fetches with the keys that it has all the while", async () => {
  const [oldKey, oldSigning] = [await publicKey(), await signingKey()];
  await home().on("pai", "systemctl stop sshd");
  for (const rotation of ["2", "3"]) {
    await home().set("rotation", rotation);
    await upWithoutPai("\\S+ port 22 refuses connections");
    await newPathReachesPai();
  }
  expect(await publicKey()).not.toBe(oldKey);
  expect(await keysOf(home(), "pai")).toContain(oldKey);
  expect(await signingKeysOf(home())).toEqual([oldSigning, await signingKey()].sort());
  await home().stack.run(["preview", "--expect-no-changes"]);
});

test("reached again: it has the newest keys, and none else are let in", async () => {
  await home().on("pai", "systemctl start sshd");
  expect(await wouldDoOnPai()).toEqual(["pai-identity"]);
  await home().up();
  expect(await keysOf(home(), "pai")).toEqual([await publicKey()]);
  expect(await signingKeysOf(home())).toEqual([await signingKey()]);
  await newPathReachesPai();
  await home().stack.run(["preview", "--expect-no-changes"]);
});

test("destroyed without it: its access ends, what to do is said, and then all goes", async () => {
  const destroy = ["destroy", "--yes", "--skip-preview"];
  await home().on("pai", "systemctl stop sshd");
  const { code, stdout, stderr } = await home().stack.attempt(destroy);
  expect(code).not.toBe(0);
  expect(stdout + stderr).toMatch(
    /the access of pai has ended; if it is off, .* run the same again when it is on/,
  );
  expect(await keysOf(home(), "pai")).toEqual([]);
  await home().on("pai", "systemctl start sshd");
  await home().stack.run(destroy);
});
