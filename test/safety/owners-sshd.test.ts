import { beforeEach, describe, expect, test } from "vitest";
import { buildNewPath, fetchPath } from "../../dev/lab/demonstration.ts";
import { until } from "../../dev/lab/until.ts";
import { identity, refusal, tryKey } from "../rotation/keys.ts";
import { openSession } from "../rotation/session.ts";
import { useHome } from "../system/home.ts";
import { editBy } from "./owner.ts";
import { unchanged } from "./said.ts";

const home = useHome(undefined, { after: "up" });

/** The owner of kalaw has an sshd of their own taste, and switches to it. */
async function kalawHas(module: string): Promise<void> {
  await editBy(home(), "kalaw", module);
  await home().on("kalaw", "nixos-rebuild switch");
}

const fetches = async () => fetchPath(home().lab, "pai", await buildNewPath(home().lab, "kalaw"));

let value = false;
/** A change of kalaw's settings: it is built, put on trial, and confirmed. */
async function kalawChanges(): Promise<void> {
  value = !value;
  await home().set("servers.kalaw.onlyOurKeys", `${value}`);
  await home().up();
  expect(await unchanged(home())).not.toContain("drifted");
  await fetches();
}

describe("an sshd that a socket starts for each connection", () => {
  beforeEach(() => kalawHas("{ services.openssh.startWhenNeeded = true; }"));

  test("a change is confirmed, and a key that is replaced ends its session", async () => {
    expect(await home().on("kalaw", "systemctl is-active sshd.socket")).toBe("active");
    await kalawChanges();

    await home().on("pai", `cp -p ${identity} /root/old`);
    const session = await openSession(home(), "pai");
    await home().set("clients.pai.rotation", "again");
    await home().up();
    await until(async () => session.hasEnded(), {
      seconds: 10,
      otherwise: "the session of the old key goes on",
    });
    expect(await tryKey(home(), "pai", "/root/old")).toContain(refusal);
    await fetches();
  });
});

describe("host keys that are elsewhere, without their public halves", () => {
  test("a change is confirmed", async () => {
    await home().on("kalaw", "mkdir -p /srv/ssh && cp /etc/ssh/ssh_host_ed25519_key /srv/ssh/key");
    await kalawHas(
      '{ services.openssh.hostKeys = [ { type = "ed25519"; path = "/srv/ssh/key"; } ]; }',
    );
    await home().on(
      "kalaw",
      "test ! -e /srv/ssh/key.pub && sshd -T | grep -ix 'hostkey /srv/ssh/key'",
    );
    await kalawChanges();
  });
});
