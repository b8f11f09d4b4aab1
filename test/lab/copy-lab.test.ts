import { existsSync } from "node:fs";
import { mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { copyLab } from "../../dev/lab/copy-lab.ts";
import type { Lab } from "../../dev/lab/lab.ts";
import { login } from "./login.ts";
import { throwAway, throwawayLab } from "./throwaway-lab.ts";

const labs: Lab[] = [];
afterAll(() => Promise.all(labs.map(throwAway)));

async function newLab(): Promise<Lab> {
  const lab = await throwawayLab(["pai"]);
  labs.push(lab);
  return lab;
}

const quiet = () => {};
const sh = async (lab: Lab, script: string) => {
  const { stdout, stderr } = await lab.exec("pai", ["sh", "-c", script]);
  return (stdout + stderr).trim();
};

test("copies of a lab that was shut down run side by side, each with all that the hosts had", async () => {
  const original = await newLab();
  await original.up(quiet);
  // Of the base tree: a file that was deleted, a folder that was replaced, a file that was changed.
  await sh(
    original,
    `rm /etc/fstab; rm -r /etc/skel; mkdir /etc/skel; echo new >/etc/skel/new
     chown 1000 /etc/skel/new; chmod 4711 /etc/skel/new; echo changed >/etc/motd`,
  );
  const look = `ls /etc/fstab 2>&1; ls -A /etc/skel; stat -c '%u %a' /etc/skel/new; cat /etc/motd /etc/machine-id
    readlink /nix/var/nix/profiles/system-*-link; nix-store --verify --check-contents 2>&1; git -C /etc/nixos status`;
  const before = await sh(original, look);
  const hostKey = await original.hostKey("pai");
  await mkdir(join(original.folder, "stack"));
  await writeFile(join(original.folder, "stack", "state"), "of the stack");
  await original.shutDown(quiet);
  expect((await original.status()).map(({ state }) => state)).toEqual(["off"]);

  const copies = [await newLab(), await newLab()] as const;
  for (const { folder } of copies) await copyLab(original.folder, folder);
  await Promise.all([original, ...copies].map((lab) => lab.up(quiet)));
  for (const lab of copies) {
    expect(await sh(lab, look)).toBe(before);
    expect(await sh(lab, "systemctl is-system-running")).toBe("running");
    expect(await lab.hostKey("pai")).toBe(hostKey);
    expect((await login(lab, "pai", "hostname")).stdout).toBe("pai\n");
    expect(existsSync(join(lab.folder, "stack", "state"))).toBe(true);
    expect((await readdir(join(lab.folder, "hosts"))).join()).toBe("pai");
  }
  await sh(copies[0], "echo one >/root/mark; nix-store --add /root/mark");
  for (const lab of [original, copies[1]])
    expect(await sh(lab, "ls /root/mark; ls /nix/store | grep -c -- -mark")).toMatch(
      /No such file or directory|^0/,
    );
});
