import { beforeAll, expect, test } from "vitest";
import { until } from "../../dev/lab/until.ts";
import { generateSshKeypair } from "../../keys/ssh-key.ts";
import { useHome } from "./home.ts";
import { data, paiOnKalaw, type StepInputs, stack, step, stepInputs } from "./step.ts";

const home = useHome(undefined, { after: "up" });
let inputs: StepInputs;
beforeAll(async () => {
  inputs = await stepInputs(home());
  await home().on("pai", `echo 'kalaw ${await home().lab.hostKey("kalaw")}' >/root/kalaw`);
});

/** What ssh on pai needs to reach kalaw with this key and none of pai's configuration. */
const options = (key: string) =>
  `-F none -i ${key} -o IdentitiesOnly=yes -o BatchMode=yes -o UserKnownHostsFile=/root/kalaw`;

/** Lets a visitor's key in, and puts its private half on pai. @returns its input for the step that revokes it */
async function letIn(visitor: string): Promise<string> {
  const { publicKey, privateKey } = generateSshKeypair(visitor);
  await home().on("kalaw", step("authorize", visitor), `${publicKey}\n`);
  await home().on("pai", `cat >/root/${visitor} && chmod 600 /root/${visitor}`, privateKey);
  return `${publicKey}\n`;
}

test("ten clients authorized at once are all let in, and cost the server no rebuild", async () => {
  const before = await home().generations("kalaw");
  const keys = Array.from({ length: 10 }, (_, i) => generateSshKeypair(`desk-${i}`).publicKey);
  const all = (words: string) =>
    Promise.all(keys.map((key, i) => home().tryOn("kalaw", step(words, `desk-${i}`), `${key}\n`)));
  const authorized = () => home().on("kalaw", `cat ${data}/authorized_keys`);
  expect((await all("authorize")).map(({ code }) => code)).toEqual(keys.map(() => 0));
  const lines = (await authorized()).split("\n");
  for (const [i, key] of keys.entries()) {
    expect(lines).toContain(`${key.split(" ").slice(0, 2).join(" ")} ${stack} desk-${i}`);
  }
  expect(lines).toHaveLength(11);

  // And so does their revocation.
  expect((await all("revoke")).map(({ code }) => code)).toEqual(keys.map(() => 0));
  const [type, blob] = inputs.key.trim().split(" ");
  expect(await authorized()).toBe(`${type} ${blob} ${inputs.signingKey} ${stack} ${paiOnKalaw}`);
  expect(await home().generations("kalaw")).toBe(before);
});

/** A session by ssh-ng, with its handshake done: Nix 2.4's version, no CPU, no space (Nix, worker-protocol-connection.cc). */
function workerSession(key: string): Promise<unknown> {
  const hello = String.raw`cxin\0\0\0\0\040\001\0\0\0\0\0\0` + String.raw`\0`.repeat(16);
  return home().tryOn(
    "pai",
    `{ printf '${hello}'; sleep 600; } | ssh ${options(key)} nix-ssh@kalaw nix-daemon --stdio`,
  );
}

test("revoking a key ends its sessions and no others", async () => {
  const key = await letIn("visitor");
  const session = (key: string) =>
    home().tryOn("pai", `sleep 600 | ssh ${options(key)} nix-ssh@kalaw`);
  const theirs = [session("/root/visitor"), workerSession("/root/visitor")];
  let oursEnded = false;
  const ours = session(`${data}/secret/identity`).then(() => {
    oursEnded = true;
  });
  const sessions = () =>
    home().on("kalaw", "pgrep -c -u nix-ssh -f 'nix-store --serve|ssh-ng-filter' || true");
  await until(async () => (await sessions()) === "3", {
    seconds: 30,
    otherwise: "no three sessions",
  });

  expect(await home().on("kalaw", step("revoke", "visitor"), key)).toMatch(/^revoked 256 SHA256:/);
  await until(async () => (await sessions()) === "1", {
    seconds: 30,
    otherwise: "their sessions go on",
  });
  expect(oursEnded).toBe(false);
  const { stderr } = await home().tryOn("pai", `ssh ${options("/root/visitor")} nix-ssh@kalaw`);
  expect(stderr).toContain("Permission denied (publickey");
  await home().on("pai", "pkill -x sleep");
  await Promise.all([ours, ...theirs]);
});

test("revoking a key ends a connection of it that has no session and could open one", async () => {
  const key = await letIn("master");
  await home().on(
    "pai",
    `ssh -fNM -S /root/socket ${options("/root/master")} nix-ssh@kalaw </dev/null >/dev/null 2>&1`,
  );
  const reads = () =>
    home().tryOn(
      "pai",
      "NIX_SSHOPTS='-F none -S /root/socket' nix store info --store ssh://nix-ssh@kalaw",
    );
  const master = async () => (await home().tryOn("pai", "ssh -S /root/socket -O check kalaw")).code;
  expect(await master()).toBe(0);
  expect((await reads()).code).toBe(0);
  await home().on("kalaw", step("revoke", "master"), key);
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
     until grep -q 'Server listening' /run/busy.log; do sleep 0.1; done
     bash -c 'exec 3<>/dev/tcp/127.0.0.1/2222 && read -r -u 3 banner && touch /run/held && read -r release </run/hold' \\
       >/run/holding 2>&1 &
     until test -e /run/held; do sleep 0.1; done`,
  );
  const dropped = async () =>
    (await home().tryOn("kalaw", "grep -qi maxstartups /run/busy.log")).code === 0;
  expect(await dropped()).toBe(false);
  const identity = home().tryOn(
    "pai",
    step("identity", "pai"),
    inputs.identity.replace("\nkalaw 22 ", "\nkalaw 2222 "),
  );
  await until(dropped, { seconds: 20, otherwise: "no login was dropped" });
  await home().on("kalaw", "echo >/run/hold");
  const { code, stderr } = await identity;
  await home().on("kalaw", "kill $(cat /run/busy.pid)");
  expect([code, stderr]).toEqual([0, ""]);
});
