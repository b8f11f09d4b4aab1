import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { buildNewPath, fetchPath } from "../../dev/lab/demonstration.ts";
import { generateSshKeypair } from "../../keys/ssh-key.ts";
import { useHome } from "../system/home.ts";

const home = useHome();
const ours = "/etc/nixos/nixos-cache";
const secrets = "/var/lib/nixos-cache";

/** What somebody does on a machine, as root, and what a preview says of it. */
const tampering: { name: string; host: string; script: string; says: RegExp }[] = [
  {
    name: "an authorized key edited",
    host: "kalaw",
    script: `echo '${generateSshKeypair("evil").publicKey}' >>$(ls ${ours}/authorized/pai-*.pub)`,
    says: /authorized\/pai-\S+ was edited by hand/,
  },
  {
    name: "an authorized key removed",
    host: "kalaw",
    script: `rm ${ours}/authorized/pai-*.pub`,
    says: /authorized\/pai-\S+ is missing/,
  },
  {
    name: "an authorized key added",
    host: "kalaw",
    script: `echo '${generateSshKeypair("evil").publicKey}' >${ours}/authorized/evil.pub && git -C /etc/nixos add -N ${ours} && nixos-rebuild switch`,
    says: /authorized\/evil.pub was added by hand/,
  },
  {
    name: "settings edited",
    host: "pai",
    script: `sed -i 's/"port": 22/"port": 2222/' ${ours}/client.json`,
    says: /client.json was edited by hand/,
  },
  {
    name: "the module edited and switched to",
    host: "pai",
    script: `sed -i 's/lib.mkDefault true/lib.mkDefault false/' ${ours}/default.nix && nixos-rebuild switch`,
    says: /default.nix was edited by hand.*runs another system/s,
  },
  {
    name: "our files taken out of git",
    host: "kalaw",
    script: "git -C /etc/nixos reset --quiet -- nixos-cache",
    says: /server.json is hidden from Nix/,
  },
  {
    name: "a revoked key taken off the list",
    host: "kalaw",
    script: `: >${secrets}/revoked_keys`,
    says: /a key was taken off the list of revoked keys/,
  },
  {
    name: "the list of revoked keys removed",
    host: "kalaw",
    script: `rm ${secrets}/revoked_keys`,
    says: /the list of revoked keys is missing/,
  },
  {
    name: "another signing key",
    host: "kalaw",
    script: `nix key generate-secret --key-name evil >${secrets}/signing/0`,
    says: /the signing key in place 0 was changed by hand/,
  },
  {
    name: "a signing key opened to others",
    host: "kalaw",
    script: `chmod 644 ${secrets}/signing/0`,
    says: /the signing key in place 0 was opened to others/,
  },
  {
    name: "the identity file removed",
    host: "pai",
    script: `rm ${secrets}/ssh/identity`,
    says: /the identity file is missing/,
  },
  {
    name: "an older generation",
    host: "pai",
    script: "nixos-rebuild switch --rollback",
    says: /runs (a configuration without nixos-cache|another system than the one last activated), generation \d+/,
  },
  {
    name: "a configuration without the module",
    host: "kalaw",
    script:
      "sed -i 's/^  imports = .*/  imports = [ ];/' /etc/nixos/base.nix && nixos-rebuild switch && git -C /etc/nixos checkout -q base.nix",
    says: /runs a configuration without nixos-cache/,
  },
  {
    name: "sshd's configuration replaced",
    host: "kalaw",
    script:
      "grep -v RevokedKeys /etc/ssh/sshd_config >/tmp/sshd_config && rm /etc/ssh/sshd_config && mv /tmp/sshd_config /etc/ssh/ && systemctl restart sshd",
    says: /sshd_config is not the file of the running system.*sshd has revokedkeys none for nix-ssh/s,
  },
  {
    name: "the helper edited",
    host: "pai",
    script: `sed -i 's/^set -eu/set -u/' ${secrets}/agent`,
    says: /the helper was edited by hand/,
  },
  {
    name: "all that is secret removed",
    host: "pai",
    script: `rm -rf ${secrets}`,
    says: /\/var\/lib\/nixos-cache is gone/,
  },
];

beforeAll(async () => {
  await home().up();
  // One key on the list of revoked ones.
  await home().set("clients.pai.rotation", "once");
  await home().up();
});

afterAll(() => {
  console.table(found);
});
const found: { tampering: string; found: string; repaired: string }[] = [];

test("none is found on untouched machines", async () => {
  const { stdout, stderr } = await home().stack.run(["preview", "--expect-no-changes"]);
  expect(stdout + stderr).not.toMatch(/drifted|unknown/);
});

describe("is found, told in words, and repaired", () => {
  test.each(tampering)("$name", async ({ name, host, script, says }) => {
    // But for the store paths of the system: a rebuild also drops keys that were revoked before.
    const snapshot = async () => (await home().snapshot(host)).split("\n").slice(2);
    const healthy = await snapshot();
    const keys = (host: string) =>
      home().on(
        host,
        `cd ${secrets} && sha256sum signing/* ssh/* revoked_keys 2>/dev/null || true`,
      );
    const secretsBefore = await keys(host);
    await home().on(host, script);

    const preview = await home().stack.run(["preview", "--diff"]);
    const said = preview.stdout + preview.stderr;
    expect(said).toMatch(says);
    expect(said).toContain(`${host} has drifted`);
    await home().up();

    const after = await home().stack.run(["preview", "--expect-no-changes"]);
    expect(after.stdout + after.stderr).not.toMatch(/drifted|unknown/);
    expect(await snapshot()).toEqual(healthy);
    expect(await keys(host)).toBe(secretsBefore);
    await fetchPath(home().lab, "pai", await buildNewPath(home().lab, "kalaw"));
    found.push({
      tampering: name,
      found: said.match(says)?.[0].split("\n")[0] ?? "",
      repaired: "yes",
    });
  });
});

test("a machine that is off is unknown, not clean, and fails nothing", async () => {
  await home().lab.powerOff("pai");
  const { stdout, stderr } = await home().stack.run(["preview"]);
  expect(stdout + stderr).toMatch(/pai: could not be observed.*unknown/);
  await home().lab.powerOn("pai");
});

test("an older generation that is booted by hand lets no revoked key in, and `up` brings the machine forward", async () => {
  await home().on("pai", `cp ${secrets}/ssh/identity /root/old`);
  await home().set("clients.pai.rotation", "again");
  await home().up();
  // The generation in which the old key was authorized.
  await home().on("kalaw", "nixos-rebuild boot --rollback");
  await home().lab.reboot("kalaw");
  const { stderr } = await home().tryOn(
    "pai",
    "ssh -F none -i /root/old -o IdentitiesOnly=yes -o BatchMode=yes nix-ssh@kalaw",
  );
  expect(stderr).toContain("Permission denied (publickey");
  const { stdout } = await home().stack.run(["preview"]);
  expect(stdout).toMatch(
    /kalaw has drifted: runs another system than the one last activated, generation \d+/,
  );
  await home().up();
  await home().stack.run(["preview", "--expect-no-changes"]);
  await fetchPath(home().lab, "pai", await buildNewPath(home().lab, "kalaw"));
});

test("observing can be turned off", async () => {
  await home().stack.run(["config", "set", "nixos-cache:observe", "false"]);
  await home().on("kalaw", `echo >>${ours}/server.json`);
  await home().stack.run(["preview", "--expect-no-changes"]);
  await home().stack.run(["config", "rm", "nixos-cache:observe"]);
  await home().up();
});
