import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { buildNewPath, fetchPath } from "../../dev/lab/demonstration.ts";
import type { Lab } from "../../dev/lab/lab.ts";
import { outcome } from "../../dev/lab/outcome.ts";
import { LabStack } from "../../dev/lab/stack.ts";
import { toolchain } from "../../dev/tools/toolchain.ts";
import { Home, useHome } from "../system/home.ts";
import { keysOf, storedKeypair, tryKey } from "./keys.ts";

const home = useHome();

beforeAll(() => home().up());

/**
 * The same machines, and a stack for them in another backend, with another passphrase: a new stack that knows
 * nothing of the first one.
 */
async function anotherStack(name: string): Promise<Home> {
  const folder = join(home().lab.folder, name);
  await mkdir(folder);
  const { lab } = home();
  // All that a stack wants of a lab, in another folder.
  const elsewhere: Pick<
    Lab,
    "folder" | "enter" | "hosts" | "operatorKeyFile" | "address" | "hostKey"
  > = {
    folder,
    enter: lab.enter,
    hosts: lab.hosts,
    operatorKeyFile: lab.operatorKeyFile,
    address: (host) => lab.address(host),
    hostKey: (host) => lab.hostKey(host),
  };
  const stack = new LabStack(elsewhere as Lab, await toolchain(() => {}));
  await stack.init();
  return new Home(lab, stack);
}

const passphrase = ({ stack }: Home) => readFile(join(stack.folder, "passphrase"), "utf8");

async function newPathReachesPai(): Promise<void> {
  await fetchPath(home().lab, "pai", await buildNewPath(home().lab, "kalaw"));
}

describe("a stack taken along to another backend", () => {
  let other: Home;

  test("by export with its secrets, and import", async () => {
    other = await anotherStack("other");
    expect(await passphrase(other)).not.toBe(await passphrase(home()));
    const backup = join(home().lab.folder, "backup.json");
    await home().stack.run(["stack", "export", "--show-secrets", "--file", backup]);
    // It asks to be encrypted with the first stack's passphrase; without a word on that, the CLI crashes.
    const exported = JSON.parse(await readFile(backup, "utf8"));
    const file = await readFile(join(other.stack.folder, "Pulumi.lab.yaml"), "utf8");
    exported.deployment.secrets_providers.state.salt = /^encryptionsalt: (.*)$/m.exec(file)?.[1];
    await writeFile(backup, JSON.stringify(exported));
    await other.stack.run(["stack", "import", "--file", backup]);
    await rm(backup);
  });

  test("has the same keys, encrypted anew, and nothing to do", async () => {
    for (const key of ["pai-key", "kalaw-signing-key"]) {
      expect(await storedKeypair(other, key)).toEqual(await storedKeypair(home(), key));
    }
    await other.stack.run(["preview", "--expect-no-changes"]);
    const { privateKey } = await storedKeypair(other, "pai-key");
    const needle = privateKey.split("\n")[3] ?? "";
    const { code } = await outcome(["grep", "-rqF", "-f", "-", join(other.stack.folder, "state")], {
      stdin: needle,
    });
    expect(code).toBe(1);
  });

  test("goes on from there: rotation", async () => {
    await home().on("pai", "cp /var/lib/nixos-cache/ssh/identity /root/old");
    await other.set("rotation", "2");
    await other.up();
    expect(await keysOf(other, "pai")).toEqual([(await storedKeypair(other, "pai-key")).publicKey]);
    expect(await tryKey(other, "pai", "/root/old")).toContain("Permission denied (publickey");
    await newPathReachesPai();
  });
});

describe("a state that is lost", () => {
  test("a new stack takes over the machines as they are", async () => {
    await home().on("pai", "cp /var/lib/nixos-cache/ssh/identity /root/old");
    expect(await tryKey(home(), "pai", "/root/old")).toBe("let in");
    const oldSigning = await home().on("kalaw", "cut -d: -f1 /var/lib/nixos-cache/signing/0");

    const fresh = await anotherStack("fresh");
    await fresh.up();

    const pai = await storedKeypair(fresh, "pai-key");
    const kalaw = await storedKeypair(fresh, "kalaw-signing-key");
    expect(await keysOf(fresh, "pai")).toEqual([pai.publicKey]);
    expect(await home().on("kalaw", "cat /etc/nixos/nixos-cache/authorized/*")).toBe(pai.publicKey);
    expect(await tryKey(home(), "pai", "/root/old")).toContain("Permission denied (publickey");
    await newPathReachesPai();
    expect(kalaw.name).not.toBe(oldSigning);
    expect(await home().on("pai", "cat /etc/nix/nix.conf")).not.toContain(oldSigning);
    await fresh.stack.run(["preview", "--expect-no-changes"]);

    // The old secret goes with the next rotation at the latest, or at once: nothing else knows of it.
    await fresh.set("rotation", "2");
    await fresh.up();
    const { name } = await storedKeypair(fresh, "kalaw-signing-key");
    expect(await home().on("kalaw", "cut -d: -f1 /var/lib/nixos-cache/signing/* | sort -u")).toBe(
      name,
    );
    await newPathReachesPai();

    await fresh.stack.run(["destroy", "--yes", "--skip-preview"]);
    for (const host of ["kalaw", "pai"]) {
      await home().on(host, "test ! -e /var/lib/nixos-cache && test ! -e /etc/nixos/nixos-cache");
    }
  });
});
