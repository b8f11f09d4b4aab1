import { expect, test } from "vitest";
import { type Computer, checkComputer, thisComputer } from "../../dev/lab/requirements.ts";

const good: Computer = { platform: "linux", root: true, apt: true, cgroup: true, overlay: true };

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
    complaint({ root: false, apt: false, cgroup: false, overlay: false }),
  ).toMatchInlineSnapshot(`
    "The lab cannot run here:
      - it needs root, for containers and networks: run it with sudo
      - there is no apt-get: run it on Debian or a relative of it (it needs mmdebstrap, systemd-container, iproute2, openssh-client, git, util-linux, mount, debian-archive-keyring)"
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
