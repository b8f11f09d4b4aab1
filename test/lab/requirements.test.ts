import { mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { execa } from "execa";
import { expect, onTestFinished, test, vi } from "vitest";
import { debianKeyring } from "../../dev/lab/debian-keyring.ts";
import {
  type Computer,
  checkComputer,
  meetRequirements,
  thisComputer,
} from "../../dev/lab/requirements.ts";
import { executablesOn } from "../../dev/tools/installed-pulumi.ts";

const good: Computer = {
  platform: "linux",
  root: true,
  apt: true,
  missing: [],
  cgroup: true,
  overlay: true,
};

function complaint(differences: Partial<Computer>): string {
  try {
    checkComputer({ ...good, ...differences });
  } catch (error) {
    return (error as Error).message;
  }
  return "";
}

test("this computer, where the lab's tests run, has what the lab needs", async () => {
  expect(await thisComputer()).toEqual(good);
  expect(complaint({})).toBe("");
});

test("one message lists all that is missing, and what to do", () => {
  expect(
    complaint({
      ...{ root: false, apt: false, cgroup: false, overlay: false },
      missing: ["mmdebstrap", "git"],
    }),
  ).toMatchInlineSnapshot(`
    "The lab cannot run here:
      - it needs root, for containers and networks: run it with sudo
      - there is no apt-get to install mmdebstrap, git: run it on Debian or a relative of it, or with Nix in \`nix-shell\`"
  `);
  expect(complaint({ cgroup: false, overlay: false })).toMatchInlineSnapshot(`
    "The lab cannot run here:
      - control groups version 2 are not mounted, or read-only: mount them read-write
      - the kernel has no overlayfs: load the module overlay"
  `);
  expect(complaint({ platform: "darwin", root: false, apt: false })).toMatchInlineSnapshot(`
    "The lab cannot run here:
      - its hosts are Linux containers, and this is darwin: run it on a Debian machine, a virtual one will do"
  `);
});

/** A PATH with all programs of this computer but those of apt and dpkg, as in a shell of Nix; it ends with the test. */
function pathWithoutApt(): string {
  const folder = mkdtempSync(join(tmpdir(), "without-apt-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const programs =
    "mmdebstrap systemd-nspawn ip ssh ssh-keygen git nsenter unshare setpriv flock mount umount";
  for (const program of programs.split(" ")) {
    const [file] = executablesOn([process.env.PATH, "/usr/sbin"].join(delimiter), program);
    symlinkSync(file ?? "", join(folder, program));
  }
  return folder;
}

test("with the tools on PATH, no apt is needed, and none is used", async () => {
  vi.stubEnv("PATH", pathWithoutApt());
  onTestFinished(() => {
    vi.unstubAllEnvs();
  });
  await expect(execa("apt-get", ["--version"])).rejects.toThrow("ENOENT");

  expect(await thisComputer()).toEqual({ ...good, apt: false });
  const said: string[] = [];
  await meetRequirements((line) => said.push(line));
  expect(said).toEqual([]);
  await expect(meetRequirements(() => {}, { "no-such-program": "a-package" })).rejects.toThrow(
    "there is no apt-get to install a-package",
  );
});

test("Debian's keys may be elsewhere", () => {
  expect(debianKeyring({})).toBe("/usr/share/keyrings/debian-archive-keyring.gpg");
  expect(debianKeyring({ NIXOS_CACHE_DEBIAN_KEYRING: "/nix/keys.gpg" })).toBe("/nix/keys.gpg");
});
