import { beforeAll, describe, expect, test } from "vitest";
import { buildNewPath, fetchPath } from "../../dev/lab/demonstration.ts";
import { until } from "../../dev/lab/until.ts";
import { generateSshKeypair } from "../../keys/ssh-key.ts";
import { useHome } from "../system/home.ts";
import { bare, identity, keysOf, refusal, storedKeypair, tryKey } from "./keys.ts";
import { openIdleConnection, openSession, type Session } from "./session.ts";

const profile = "/nix/var/nix/profiles/system";
const home = useHome(["kalaw", "pai", "desk"]);
const refused = expect.stringContaining(refusal);

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

/** Its ssh may have to notice yet that its connection is gone. */
const ends = (session: Session, whose: string) =>
  until(async () => session.hasEnded(), { seconds: 10, otherwise: `${whose} goes on` });

/** A step of the helper on kalaw, as the stack would take it for this client. */
const step = (words: string, client: string, stdin = "") =>
  home().on(
    "kalaw",
    `sh /var/lib/nixos-cache/helper/steps/main.sh ${words} --owner 'organization/nixos-cache/lab ${client}@kalaw'`,
    stdin,
  );

/** A key of somebody's on pai, which kalaw does not know. @returns its public half */
async function newKeyOnPai(name: string): Promise<string> {
  const { publicKey, privateKey } = generateSshKeypair(name);
  await home().on("pai", `umask 077 && cat >/root/${name}`, privateKey);
  return publicKey;
}

/** The owner of kalaw edits its configuration, and switches to it. */
async function ownersEdit(line: string): Promise<void> {
  await home().on(
    "kalaw",
    `cd /etc/nixos && sed -i '1a ${line}' hosts/kalaw.nix && nixos-rebuild switch`,
  );
}

beforeAll(() => home().up());

describe("when a key is revoked", () => {
  test("its sessions end, and no others: neither those of other clients nor those by the owner's own keys", async () => {
    const visitor = await newKeyOnPai("visitor");
    const aunt = await newKeyOnPai("aunt");
    await ownersEdit(`nix.sshServe.keys = [ "${aunt}" ];`);
    await step("authorize", "visitor", `${visitor}\n`);
    const revoked = [
      await openSession(home(), "pai", "/root/visitor"),
      await openSession(home(), "pai", "/root/visitor"),
    ];
    const others = [
      await openSession(home(), "pai"),
      await openSession(home(), "desk"),
      await openSession(home(), "pai", "/root/aunt"),
    ];
    await step("revoke", "visitor");
    for (const session of revoked) await ends(session, "the session of the revoked key");
    expect(others.map((session) => session.hasEnded())).toEqual([false, false, false]);
    for (const session of others) await session.end();
    expect(await tryKey(home(), "pai", "/root/visitor")).toEqual(refused);
    expect(await tryKey(home(), "pai", "/root/aunt")).toBe("let in");
  });

  test("a connection that has no session ends, and one that is only being made has time to show its key", async () => {
    const visitor = await newKeyOnPai("guest");
    await step("authorize", "guest", `${visitor}\n`);
    const revoked = await openIdleConnection(home(), "pai", "/root/guest");
    // Authenticated, and without a session yet, as each connection is for a moment.
    const beingMade = await openIdleConnection(home(), "pai");
    const idle = await openIdleConnection(home(), "desk");

    const revocation = step("revoke", "guest");
    await until(async () => (await keysOf(home(), "guest")).length === 0, {
      seconds: 10,
      otherwise: "the key is not revoked",
    });
    await beingMade.openSession();
    await revocation;
    await ends(revoked, "the connection of the revoked key");
    await ends(idle, "the connection without a session");
    expect(await beingMade.holds()).toBe(true);
    await beingMade.end();
  });

  test("a process that only calls itself a session is not touched, nor its files read", async () => {
    const visitor = await newKeyOnPai("liar");
    await step("authorize", "liar", `${visitor}\n`);
    const title = "sshd-session: nix-ssh [priv]";
    const start = (as: string, auth: string) => `SSH_USER_AUTH=${auth} setsid setpriv ${as} \\
      bash -c 'exec -a "${title}" sleep 600 </dev/null >/dev/null 2>&1' &`;
    // Whoever reads the first one's file waits for ever; the second one has at least nix-ssh's own user.
    await home().on(
      "kalaw",
      `mkfifo -m 666 /tmp/auth
       ${start("--reuid fay --clear-groups", "/tmp/auth")}
       ${start("--reuid nix-ssh --clear-groups", "/dev/zero")}`,
    );
    const liars = () => home().on("kalaw", "pgrep -c -f '^sshd-session: nix-ssh .priv.' || true");
    await until(async () => (await liars()) === "2", { seconds: 10, otherwise: "no liars" });
    const session = await openSession(home(), "pai", "/root/liar");
    await step("revoke", "liar");
    await ends(session, "the session of the revoked key");
    expect(await liars()).toBe("2");
    await home().on("kalaw", "pkill -f '^sshd-session: nix-ssh .priv.'; rm /tmp/auth");
  });

  test("by a rotation: the old key's sessions end, and no other client's", async () => {
    const [pais, desks] = [await openSession(home(), "pai"), await openSession(home(), "desk")];
    await home().set("clients.pai.rotation", "lost laptop");
    await home().up();
    await ends(pais, "the session of pai's old key");
    expect(desks.hasEnded()).toBe(false);
    await desks.end();
    await newPathReaches("pai");
  });
});

describe("a client that is taken out of the configuration", () => {
  beforeAll(async () => {
    await steal();
    const [desks, pais] = [await openSession(home(), "desk"), await openSession(home(), "pai")];
    await removeDesk();
    await home().up();
    await ends(desks, "desk's session");
    expect(pais.hasEnded()).toBe(false);
    await pais.end();
  });

  test("has no access after one up", async () => {
    expect(await tryKey(home(), "pai", stolen)).toEqual(refused);
    expect(await keysOf(home(), "desk")).toEqual([]);
    await newPathReaches("pai");
  });

  test("and nothing of us on it", async () => {
    expect(await desksResources()).toEqual([]);
    await home().on("desk", "test ! -e /var/lib/nixos-cache && test ! -e /etc/nixos/nixos-cache");
  });

  test("gets none back by any older generation of the server, switched to or booted", async () => {
    const generations = (
      await home().on(
        "kalaw",
        `ls -d ${profile}-*-link | sed 's/.*-\\([0-9]*\\)-link/\\1/' | sort -n`,
      )
    ).split("\n");
    // The first one knows no cache, the second one is our set-up, the third one the owner's edit above.
    expect(generations.length).toBeGreaterThanOrEqual(3);
    const newest = generations.at(-1);
    for (const generation of generations) {
      await home().on("kalaw", `nix-env --profile ${profile} --switch-generation ${generation}`);
      for (const comeTo of [
        () => home().on("kalaw", `${profile}/bin/switch-to-configuration switch`),
        () => home().lab.reboot("kalaw"),
      ]) {
        await comeTo();
        expect(await home().on("kalaw", `readlink -f /run/current-system`)).toBe(
          await home().on("kalaw", `readlink -f ${profile}-${generation}-link`),
        );
        expect(await tryKey(home(), "pai", stolen)).toEqual(refused);
        if (generation !== generations[0]) await newPathReaches("pai");
      }
    }
    expect(await home().on("kalaw", `readlink ${profile}`)).toBe(`system-${newest}-link`);
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
    expect(await home().failingUp()).toMatch(/desk-identity.*failed/);
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
    expect(await tryKey(home(), "desk", identity)).toEqual(refused);
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
    await ends(desks, "desk's session");
    expect(pais.hasEnded()).toBe(false);
    await pais.end();
    expect(await tryKey(home(), "pai", stolen)).toEqual(refused);

    // A rotation of all keys has nothing to do with it.
    await home().set("rotation", "2");
    await home().up();
    await newPathReaches("pai");
    const { publicKey } = await storedKeypair(home(), "pai-key");
    expect(await home().on("kalaw", "cut -d' ' -f1,2 /var/lib/nixos-cache/authorized_keys")).toBe(
      bare(publicKey),
    );
    await removeDesk();
    await home().up();
    expect(await desksResources()).toEqual([]);
    expect(await home().snapshot("desk")).toBe(before);
    expect(await tryKey(home(), "pai", stolen)).toEqual(refused);
  });
});

test("an older generation that is switched to after all was taken away builds as ever", async () => {
  await home().stack.run(["destroy", "--yes", "--skip-preview"]);
  await home().on(
    "kalaw",
    `for link in ${profile}-*-link; do if [ -e $link/etc/nixos-cache/server.json ]; then served=$link; fi; done
     $served/bin/switch-to-configuration test && systemctl try-restart nix-daemon`,
  );
  expect(
    await home().on(
      "kalaw",
      "test ! -e /var/lib/nixos-cache && grep nixos-cache /etc/nix/nix.conf",
    ),
  ).toBe("!include /var/lib/nixos-cache/nix.conf");
  expect(await buildNewPath(home().lab, "kalaw")).toMatch(/-hello$/);
  expect(await tryKey(home(), "pai", stolen)).toEqual(refused);
});
