import { beforeAll, describe, expect, test } from "vitest";
import { buildNewPath, fetchPath } from "../../dev/lab/demonstration.ts";
import { until } from "../../dev/lab/until.ts";
import { generateSshKeypair } from "../../keys/ssh-key.ts";
import { useHome } from "../system/home.ts";
import { bare, storedKeypair, tryKey } from "./keys.ts";
import { openSession } from "./session.ts";

const home = useHome(["kalaw", "pai", "desk"]);
const refused = expect.stringContaining("Permission denied (publickey");

/** A copy of desk's private key, in the hands of somebody on another machine. */
const stolen = "/root/desk-key";

async function steal(): Promise<void> {
  const { privateKey } = await storedKeypair(home(), "desk-key");
  await home().on("pai", `umask 077 && cat >${stolen}`, privateKey);
  expect(await tryKey(home(), "pai", stolen)).toBe("let in");
}

async function addDesk(): Promise<void> {
  await home().set("clients.desk.connection.host", home().lab.address("desk"));
  await home().set("clients.desk.connection.hostKey", await home().lab.hostKey("desk"));
  await home().set("clients.desk.servers[0]", "kalaw");
}

async function removeDesk(): Promise<void> {
  await home().stack.run(["config", "rm", "--path", "nixos-cache:clients.desk"]);
}

async function newPathReaches(client: string): Promise<void> {
  await fetchPath(home().lab, client, await buildNewPath(home().lab, "kalaw"));
}

/** The resources of desk's that the stack's state has. */
async function desksResources(): Promise<string[]> {
  const { stdout } = await home().stack.run(["stack", "export"]);
  const { deployment } = JSON.parse(stdout) as { deployment: { resources?: { urn: string }[] } };
  const names = (deployment.resources ?? []).map(({ urn }) => urn.split("::").at(-1) ?? "");
  return names.filter((name) => name.startsWith("desk")).sort();
}

beforeAll(() => home().up());

test("a connection that is only being made when another key is revoked has time to show its own", async () => {
  // Authenticated, and without a session yet, as each connection is for a moment.
  const [ctl, idle] = ["/run/pais-connection", "/run/idle-connection"];
  const connect = (socket: string) =>
    `ssh -F none -i /var/lib/nixos-cache/ssh/identity -o IdentitiesOnly=yes -o BatchMode=yes \
       -f -N -M -S ${socket} nix-ssh@kalaw >/run/output 2>&1 </dev/null`;
  await home().on("pai", `${connect(ctl)} && ${connect(idle)}`);
  const holds = async (socket: string) =>
    (await home().tryOn("pai", `ssh -S ${socket} -O check nix-ssh@kalaw`)).code === 0;

  const key = generateSshKeypair("stranger").publicKey;
  const revoked = home().on("kalaw", "/var/lib/nixos-cache/agent revoke stranger", `${key}\n`);
  await until(
    async () => (await home().on("kalaw", "cat /var/lib/nixos-cache/revoked_keys")).includes(key),
    { seconds: 10, otherwise: "the key is not revoked" },
  );
  await home().on(
    "pai",
    `mkfifo /run/input && exec 3<>/run/input
     ssh -S ${ctl} nix-ssh@kalaw <&3 >/run/output 2>&1 &`,
  );
  await revoked;
  expect([await holds(ctl), await holds(idle)]).toEqual([true, false]);
  await home().on("pai", `ssh -S ${ctl} -O exit nix-ssh@kalaw`);
});

describe("a client that is taken out of the configuration", () => {
  beforeAll(async () => {
    await steal();
    const [desks, pais] = [await openSession(home(), "desk"), await openSession(home(), "pai")];
    await removeDesk();
    await home().up();
    // Its ssh may have to notice yet that its connection is gone.
    await until(async () => desks.hasEnded(), { seconds: 10, otherwise: "desk's session goes on" });
    expect(pais.hasEnded()).toBe(false);
    await pais.end();
  });

  test("has no access after one up", async () => {
    expect(await tryKey(home(), "pai", stolen)).toEqual(refused);
    await newPathReaches("pai");
  });

  test("and nothing of us on it", async () => {
    expect(await desksResources()).toEqual([]);
    await home().on("desk", "test ! -e /var/lib/nixos-cache && test ! -e /etc/nixos/nixos-cache");
  });

  test("gets none back by a switch to an older generation", async () => {
    const publicKey = await home().on("pai", `ssh-keygen -y -f ${stolen}`);
    const authorized = () => home().on("kalaw", "cat /etc/ssh/authorized_keys.d/nix-ssh");
    const old = await home().on("kalaw", "readlink -f /run/current-system");
    await home().on("kalaw", "nixos-rebuild switch");
    expect(await authorized()).not.toContain(bare(publicKey));
    for (const goBack of [
      "nixos-rebuild --rollback switch",
      `nixos-rebuild switch && ${old}/bin/switch-to-configuration switch`,
    ]) {
      await home().on("kalaw", goBack);
      expect(await home().on("kalaw", "readlink -f /run/current-system")).toBe(old);
      expect(await authorized()).toContain(bare(publicKey));
      expect(await tryKey(home(), "pai", stolen)).toEqual(refused);
      await newPathReaches("pai");
    }
  });

  test("nor by booting it", async () => {
    await home().on("kalaw", "nixos-rebuild switch && nixos-rebuild --rollback boot");
    await home().lab.reboot("kalaw");
    expect(await tryKey(home(), "pai", stolen)).toEqual(refused);
    await newPathReaches("pai");
    await home().on("kalaw", "nixos-rebuild switch");
    await home().stack.run(["preview", "--expect-no-changes"]);
  });
});

describe("a client that is off when it is taken out", () => {
  beforeAll(async () => {
    await addDesk();
    await home().up();
    await newPathReaches("desk");
    await steal();
    await home().lab.powerOff("desk");
  });

  test("fails the update, by name, and its access has ended all the same", async () => {
    await removeDesk();
    expect(await home().failingUp()).toMatch(/desk-settings.*failed/);
    expect(await tryKey(home(), "pai", stolen)).toEqual(refused);
    await newPathReaches("pai");
  });

  test("is cleaned up by the next up after it is back", async () => {
    await home().lab.powerOn("desk");
    await home().up();
    expect(await desksResources()).toEqual([]);
    await home().on("desk", "test ! -e /var/lib/nixos-cache && test ! -e /etc/nixos/nixos-cache");
  });
});

describe("a client that is gone", () => {
  test("after an update that failed without the setting: it goes through, with a warning", async () => {
    await addDesk();
    await home().up();
    await steal();
    await home().lab.powerOff("desk");
    await removeDesk();
    await home().failingUp();

    await addDesk();
    await home().set("clients.desk.gone", "true");
    const { stdout, stderr } = await home().up();
    expect(stdout + stderr).toMatch(/warning: desk is gone: it has no access any more/);
    expect(await tryKey(home(), "pai", stolen)).toEqual(refused);
    await newPathReaches("pai");
    await home().stack.run(["preview", "--expect-no-changes"]);
  });

  test("may leave the configuration", async () => {
    await removeDesk();
    await home().up();
    expect(await desksResources()).toEqual([]);
    await home().stack.run(["preview", "--expect-no-changes"]);
  });

  test("has no access when it turns up after all, and takes part again as a new one", async () => {
    await home().lab.powerOn("desk");
    expect(await tryKey(home(), "desk", "/var/lib/nixos-cache/ssh/identity")).toEqual(refused);
    await addDesk();
    await home().up();
    await newPathReaches("desk");
    expect(await tryKey(home(), "pai", stolen)).toEqual(refused);
  });

  test("loses its access at once and is not contacted, neither then nor when it is taken out", async () => {
    await steal();
    const [desks, pais] = [await openSession(home(), "desk"), await openSession(home(), "pai")];
    const before = await home().snapshot("desk");
    await home().set("clients.desk.gone", "true");
    await home().up();
    await until(async () => desks.hasEnded(), { seconds: 10, otherwise: "desk's session goes on" });
    expect(pais.hasEnded()).toBe(false);
    await pais.end();
    expect(await tryKey(home(), "pai", stolen)).toEqual(refused);

    // A rotation of all keys has nothing to do with it.
    await home().set("rotation", "2");
    await home().up();
    await newPathReaches("pai");
    await removeDesk();
    await home().up();
    expect(await desksResources()).toEqual([]);
    expect(await home().snapshot("desk")).toBe(before);
    expect(await tryKey(home(), "pai", stolen)).toEqual(refused);
  });
});
