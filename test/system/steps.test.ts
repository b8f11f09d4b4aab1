import { beforeAll, describe, expect, test } from "vitest";
import { until } from "../../dev/lab/until.ts";
import { generateSigningKeypair } from "../../keys/signing-key.ts";
import { fingerprintForFileName, generateSshKeypair } from "../../keys/ssh-key.ts";
import { agentScript, installAgent, packed } from "../../machine/agent.ts";
import { useHome } from "./home.ts";

const home = useHome();
const agent = "/var/lib/nixos-cache/agent";

beforeAll(() => home().up());

/** The name of a key of `client` on a server. */
const named = (client: string, publicKey: string) =>
  `${client}-${fingerprintForFileName(publicKey)}`;

const half = (text: string) => text.slice(0, Math.floor(text.length / 2));

describe("input that ends early, with the connection, changes nothing", () => {
  test.each([
    [
      "signing-key kalaw-half",
      half(generateSigningKeypair("kalaw").privateKey),
      "the signing key kalaw-half did not arrive whole",
    ],
    [
      "identity",
      `kalaw 22 ssh-ed25519 AAAA\n\n${half(generateSshKeypair("x").privateKey)}`,
      "the private key did not arrive whole",
    ],
    ["identity", "kalaw 22 ssh-ed", "the private key did not arrive whole"],
    [
      "authorize pai-half",
      half(generateSshKeypair("x").publicKey),
      "the public key did not arrive whole",
    ],
    ["settings server", '{ "module": ', "the settings did not arrive whole"],
  ])("agent %s", async (words, input, message) => {
    const before = await home().snapshot("kalaw");
    const keys = () => home().on("kalaw", "find /var/lib/nixos-cache -type f | xargs sha256sum");
    const keysBefore = await keys();
    const { code, stderr } = await home().tryOn("kalaw", `${agent} ${words}`, input);
    expect(code).toBe(1);
    expect(stderr).toContain(message);
    expect(await home().snapshot("kalaw")).toBe(before);
    expect(await keys()).toBe(keysBefore);
  });

  test("the helper itself", async () => {
    const { code } = await home().tryOn(
      "kalaw",
      installAgent(agentScript()),
      half(packed(agentScript())),
    );
    expect(code).not.toBe(0);
    await home().on(
      "kalaw",
      `${agent} authorize 2>/dev/null; test $? -eq 1 && tail -n 1 ${agent} | grep esac`,
    );
  });
});

test("a step that does not exist is refused", async () => {
  const { code, stderr } = await home().tryOn("kalaw", `${agent} settings everything`);
  expect([code, stderr]).toEqual([1, "agent: unknown step: settings everything\n"]);
});

test("ten clients authorized at once cost the server one rebuild, two at worst", async () => {
  const before = await home().generations("kalaw");
  const keys = Array.from({ length: 10 }, (_, i) => generateSshKeypair(`desk-${i}`).publicKey);
  const outcomes = await Promise.all(
    keys.map((key, i) =>
      home().tryOn("kalaw", `${agent} authorize ${named(`desk-${i}`, key)}`, `${key}\n`),
    ),
  );
  expect(outcomes.map(({ code }) => code)).toEqual(keys.map(() => 0));
  const rebuilds = (await home().generations("kalaw")) - before;
  expect(rebuilds).toBeGreaterThanOrEqual(1);
  expect(rebuilds).toBeLessThanOrEqual(2);
  const authorized = await home().on("kalaw", "cat /etc/ssh/authorized_keys.d/nix-ssh");
  for (const key of keys) expect(authorized).toContain(key);

  // And their revocation none; it is at once all the same.
  await Promise.all(
    keys.map((key, i) => home().tryOn("kalaw", `${agent} revoke desk-${i}`, `${key}\n`)),
  );
  expect((await home().generations("kalaw")) - before).toBe(rebuilds);
  const revoked = await home().on("kalaw", "cat /var/lib/nixos-cache/revoked_keys");
  for (const key of keys) expect(revoked).toContain(key);
  expect(await home().on("kalaw", "ls /etc/nixos/nixos-cache/authorized")).toMatch(
    /^pai-[\w-]{43}\.pub$/,
  );
});

test("revoking a key ends its sessions and no others", async () => {
  const visitor = generateSshKeypair("visitor");
  await home().on(
    "kalaw",
    `${agent} authorize ${named("visitor", visitor.publicKey)}`,
    `${visitor.publicKey}\n`,
  );
  await home().on("pai", "cat >/root/visitor && chmod 600 /root/visitor", visitor.privateKey);
  const session = (key: string) =>
    home().tryOn(
      "pai",
      `sleep 600 | ssh -F none -i ${key} -o IdentitiesOnly=yes -o BatchMode=yes nix-ssh@kalaw`,
    );
  const theirs = session("/root/visitor");
  let oursEnded = false;
  const ours = session("/var/lib/nixos-cache/ssh/identity").then(() => {
    oursEnded = true;
  });
  const sessions = () => home().on("kalaw", "pgrep -c -u nix-ssh -f 'nix-store --serve' || true");
  await until(async () => (await sessions()) === "2", {
    seconds: 30,
    otherwise: "no two sessions",
  });

  await home().on("kalaw", `${agent} revoke visitor`, `${visitor.publicKey}\n`);
  await until(async () => (await sessions()) === "1", {
    seconds: 30,
    otherwise: "both sessions go on",
  });
  expect(oursEnded).toBe(false);
  const { stderr } = await home().tryOn(
    "pai",
    "ssh -F none -i /root/visitor -o IdentitiesOnly=yes -o BatchMode=yes nix-ssh@kalaw",
  );
  expect(stderr).toContain("Permission denied (publickey");
  await home().on("pai", "pkill -x sleep");
  await Promise.all([ours, theirs]);
});

test("revoking a key ends a connection of it that has no session and could open one", async () => {
  const visitor = generateSshKeypair("master");
  await home().on(
    "kalaw",
    `${agent} authorize ${named("master", visitor.publicKey)}`,
    `${visitor.publicKey}\n`,
  );
  await home().on("pai", "cat >/root/master && chmod 600 /root/master", visitor.privateKey);
  await home().on(
    "pai",
    "ssh -fNM -S /root/socket -F none -i /root/master -o IdentitiesOnly=yes -o BatchMode=yes nix-ssh@kalaw </dev/null >/dev/null 2>&1",
  );
  const reads = () =>
    home().tryOn("pai", "NIX_SSHOPTS='-S /root/socket' nix store info --store ssh://nix-ssh@kalaw");
  const master = async () => (await home().tryOn("pai", "ssh -S /root/socket -O check kalaw")).code;
  expect(await master()).toBe(0);
  expect((await reads()).code).toBe(0);
  await home().on("kalaw", `${agent} revoke master`, `${visitor.publicKey}\n`);
  await until(async () => (await master()) !== 0, {
    seconds: 30,
    otherwise: "the connection goes on",
  });
});

test("a client whose login is dropped because the server has too many at once tries again", async () => {
  // A second sshd with room for one login at a time, which somebody takes.
  await home().on(
    "kalaw",
    `mkfifo /run/hold && $(command -v sshd) -f /etc/ssh/sshd_config -p 2222 -E /run/busy.log -o PidFile=/run/busy.pid \\
       -o MaxStartups=1:100:1 -o PerSourcePenalties=no
     bash -c 'exec 3<>/dev/tcp/127.0.0.1/2222 && read -r -u 3 banner && touch /run/held && read -r release </run/hold' \\
       >/run/holding 2>&1 &
     until test -e /run/held; do sleep 0.1; done`,
  );
  const input = `kalaw 2222 ${await home().lab.hostKey("kalaw")}\n\n${await home().on("pai", "cat /var/lib/nixos-cache/ssh/identity")}\n`;
  const identity = home().tryOn("pai", `${agent} identity`, input);
  await until(
    async () => (await home().tryOn("kalaw", "grep -qi maxstartups /run/busy.log")).code === 0,
    { seconds: 20, otherwise: "no login was dropped" },
  );
  await home().on("kalaw", "echo >/run/hold");
  const { code, stdout, stderr } = await identity;
  await home().on("kalaw", "kill $(cat /run/busy.pid)");
  expect([code, stderr]).toEqual([0, ""]);
  expect(stdout).toContain("kalaw is busy, trying again");
});

test("the helper stays for what the other part of the machine has yet to take away", async () => {
  await home().on("kalaw", `${agent} remove`);
  await home().on("kalaw", `test -x ${agent} && test -e /var/lib/nixos-cache/signing/0`);
});

test("files that the owner has committed are put back without a trace in git", async () => {
  await home().on(
    "kalaw",
    `cd /etc/nixos && git -c user.name=x -c user.email=x@localhost commit --quiet --all --message 'with nixos-cache'
     sed -i '1a networking.hostNme = "kalaw";' hosts/kalaw.nix`,
  );
  const before = await home().snapshot("kalaw");
  const { stderr } = await home().tryOn("kalaw", `${agent} remove-settings server`);
  expect(stderr).toContain("does not build");
  expect(await home().snapshot("kalaw")).toBe(before);
  await home().on("kalaw", "cd /etc/nixos && git checkout --quiet hosts/kalaw.nix");
});

test("a step that was killed in the middle of a rebuild is made good by the next one", async () => {
  const key = generateSshKeypair("killed").publicKey;
  const before = await home().generations("kalaw");
  // Killed as soon as it has begun to build.
  const step = home().tryOn("kalaw", `${agent} authorize killed`, `${key}\n`);
  await until(
    async () =>
      (
        await home().tryOn(
          "kalaw",
          "pgrep -f 'nixos-rebuild build' && pkill -KILL -f 'agent authorize killed'",
        )
      ).code === 0,
    { seconds: 30, otherwise: "the rebuild never began" },
  );
  expect((await step).code).not.toBe(0);
  await home().on("kalaw", `${agent} authorize killed`, `${key}\n`);
  expect(await home().on("kalaw", "cat /etc/ssh/authorized_keys.d/nix-ssh")).toContain(key);
  expect(await home().generations("kalaw")).toBe(before + 1);
});
