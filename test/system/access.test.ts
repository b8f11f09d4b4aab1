import { beforeAll, describe, expect, test } from "vitest";
import { buildNewPath, fetchPath } from "../../dev/lab/demonstration.ts";
import { useHome } from "./home.ts";

const home = useHome(undefined, { after: "up" });
const identity = "/var/lib/nixos-cache/secret/identity";

/** What ssh on pai needs to reach kalaw with this key and none of pai's configuration. */
const options = (key: string) =>
  `-F none -i ${key} -o IdentitiesOnly=yes -o BatchMode=yes -o StrictHostKeyChecking=yes ` +
  "-o UserKnownHostsFile=/root/kalaw -o GlobalKnownHostsFile=/dev/null -o ConnectTimeout=10";

/** ssh from pai to kalaw's nix-ssh. */
const ssh = (key: string, more = "") =>
  `ssh ${options(key)} -o ExitOnForwardFailure=yes ${more} nix-ssh@kalaw`;

/** Nix on pai, talking to kalaw's store with this key. */
const nix = (key: string, words: string) => `NIX_SSHOPTS="${options(key)}" ${words}`;

beforeAll(async () => {
  await home().on("pai", `echo 'kalaw ${await home().lab.hostKey("kalaw")}' >/root/kalaw`);
});

describe("who may read", () => {
  test("pai, with its key", async () => {
    const path = await buildNewPath(home().lab, "kalaw");
    const read = `nix store dump-path --store ssh://nix-ssh@kalaw ${path} | sha256sum`;
    expect(await home().on("pai", nix(identity, read))).toBe(
      await home().on("kalaw", `nix-store --dump ${path} | sha256sum`),
    );
  });

  test("nobody without a key", async () => {
    const { code, stderr } = await home().tryOn("pai", ssh("/dev/null"));
    expect(code).toBe(255);
    expect(stderr).toContain("Permission denied (publickey");
  });

  test("nobody with another key", async () => {
    await home().on("pai", "rm -f /root/other && ssh-keygen -q -t ed25519 -N '' -f /root/other");
    const { code, stderr } = await home().tryOn("pai", ssh("/root/other"));
    expect(code).toBe(255);
    expect(stderr).toContain("Permission denied (publickey");
  });

  test("on pai, root alone", async () => {
    await home().on("pai", "id -u visitor >/dev/null 2>&1 || useradd --create-home visitor");
    for (const secret of [
      identity,
      "/var/lib/nixos-cache/secret/signing",
      "/var/lib/nixos-cache/secret",
    ]) {
      const { stderr } = await home().tryOn("pai", `su visitor -c 'ls ${secret} && cat ${secret}'`);
      expect(stderr).toMatch(/Permission denied/);
    }
  });

  test("what is public on a machine, anybody there may read: Nix drops its settings where it cannot", async () => {
    const { trustedPublicKey } = await output("servers.kalaw");
    const shown = await home().on("pai", "su visitor -c 'nix config show trusted-public-keys'");
    expect(shown.split(" ")).toContain(trustedPublicKey);
    expect(await home().on("kalaw", "stat -c '%a %U' /var/lib/nixos-cache/authorized_keys")).toBe(
      "644 root",
    );
  });
});

describe("what nix-ssh may do", () => {
  test("no shell: whatever is asked for, it is nix-store --serve, or the filter before the daemon", async () => {
    // The protocol's magic number and a version; the answer is the server's magic number (Nix, serve-protocol.hh).
    const hello = String.raw`printf '\353\235\014\071\000\000\000\000\007\002\000\000\000\000\000\000'`;
    for (const command of [
      "id",
      "/bin/sh",
      "nix-store --import",
      "'; nix-daemon'",
      "'$(id) nix-daemon'",
    ]) {
      const answer = await home().on(
        "pai",
        `${hello} | ${ssh(identity)} ${command} | od -An -tx1 -N4`,
      );
      expect(answer.trim(), command).toBe("cb ee 52 54");
    }
    // The magic numbers of the worker protocol (worker-protocol.hh).
    for (const command of ["nix-daemon --stdio", "/run/nix-daemon '--store; id'"]) {
      const answer = await home().on(
        "pai",
        String.raw`printf 'cxin\000\000\000\000' | ${ssh(identity)} ${command} | od -An -tx1 -N4`,
      );
      expect(answer.trim(), command).toBe("6f 69 78 64");
    }
  });

  test("no terminal", async () => {
    const { stderr } = await home().tryOn("pai", `${ssh(identity, "-tt")} </dev/null`);
    expect(stderr).toContain("PTY allocation request failed");
  });

  test("no forwarding to others", async () => {
    // The listener is on pai, so it opens; what it would lead to is refused by kalaw.
    const { stderr } = await home().tryOn("pai", `${ssh(identity, "-W localhost:22")} </dev/null`);
    expect(stderr).toContain("administratively prohibited");
  });

  test("no forwarding from kalaw", async () => {
    const { code, stderr } = await home().tryOn(
      "pai",
      `${ssh(identity, "-N -R 2200:localhost:22")} </dev/null`,
    );
    expect(code).toBe(255);
    expect(stderr).toContain("remote port forwarding failed");
  });

  test("no way to the Nix daemon's socket, by which it could build and delete", async () => {
    const { stderr } = await home().tryOn(
      "pai",
      `${ssh(identity, "-N -L /root/daemon:/nix/var/nix/daemon-socket/socket")} &
       timeout 20 sh -c 'until test -S /root/daemon; do :; done'
       timeout 10 nix store info --store unix:///root/daemon; kill $!; wait`,
    );
    expect(stderr).toContain("open failed: connect failed: open failed");
    // In mixed case from OpenSSH 10.5 on.
    expect(await home().on("kalaw", "sshd -T -C user=nix-ssh,host=x,addr=192.0.2.9")).toMatch(
      /^disableforwarding yes$/im,
    );
  });

  test("no file transfer", async () => {
    const { code } = await home().tryOn(
      "pai",
      `sftp -F none -i ${identity} -o BatchMode=yes -b /dev/null nix-ssh@kalaw`,
    );
    expect(code).not.toBe(0);
  });

  test("no write to the store", async () => {
    const path = await home().on(
      "pai",
      "echo 'from pai' >/root/gift && nix-store --add /root/gift",
    );
    const { code, stderr } = await home().tryOn(
      "pai",
      nix(identity, `nix copy --no-check-sigs --to ssh://nix-ssh@kalaw ${path}`),
    );
    expect(code).not.toBe(0);
    expect(stderr).not.toBe("");
    expect((await home().tryOn("kalaw", `test -e ${path}`)).code).toBe(1);
  });
});

describe("whose host key it has to be", () => {
  test("pai refuses a cache with another host key", async () => {
    const { stderr, code } = await home().tryOn(
      "pai",
      `ssh-keygen -q -t ed25519 -N '' -f /root/imposter
       echo "kalaw $(cut -d' ' -f1,2 /root/imposter.pub)" >/root/known
       ${ssh(identity).replace("/root/kalaw", "/root/known")}`,
    );
    expect(code).toBe(255);
    expect(stderr).toContain("Host key verification failed");
    // The configuration that `up` wrote is as strict, and takes the right key alone, whatever other files say.
    const config = await home().on("pai", "ssh -G nix-ssh@kalaw");
    expect(config).toContain("stricthostkeychecking true");
    expect(config).toContain("userknownhostsfile /dev/null");
    expect(config).toContain("hostkeyalias kalaw.nixos-cache");
    const [, known] = /^globalknownhostsfile (\S+)$/m.exec(config) ?? [];
    expect(await home().on("pai", `cat ${known}`)).toBe(
      `kalaw.nixos-cache ${await home().lab.hostKey("kalaw")}`,
    );
  });

  test("a HostName of root's own, and another key known for the host, change nothing", async () => {
    const { lab } = home();
    const imposter = await home().on("pai", "cut -d' ' -f1,2 /root/imposter.pub");
    await home().on(
      "pai",
      `mkdir -p /root/.ssh && cat >/root/.ssh/config && echo 'kalaw ${imposter}' >/root/.ssh/known_hosts`,
      `Host kalaw\n  HostName ${lab.address("kalaw")}\n`,
    );
    const path = await buildNewPath(lab, "kalaw");
    expect((await fetchPath(lab, "pai", path)).path).toBe(path);
    expect(await preview()).not.toContain("/root/.ssh/config");
  });

  test("what of root's own takes the place of ours is told", async () => {
    const config = "Host kalaw\n  Port 2222\n  ProxyJump fay@bastion\n  StrictHostKeyChecking no\n";
    await home().on("pai", "cat >/root/.ssh/config", config);
    expect(await preview()).toContain(
      "pai: for the cache kalaw /root/.ssh/config takes the place of our settings: port stricthostkeychecking proxycommand",
    );
    await home().on("pai", "rm /root/.ssh/config /root/.ssh/known_hosts");
  });

  test("the operator refuses a machine with another host key, before anything is touched", async () => {
    const right = await home().lab.hostKey("pai");
    const imposter = await home().on("pai", "cut -d' ' -f1,2 /root/imposter.pub");
    await home().set("clients.pai.connection.hostKey", imposter);
    const before = await home().snapshot("pai");
    expect(await home().failingUp()).toContain("host key");
    expect(await home().snapshot("pai")).toBe(before);
    await home().set("clients.pai.connection.hostKey", right);
    await home().up();
  });
});

async function preview(): Promise<string> {
  const { stdout, stderr } = await home().stack.run(["preview", "--expect-no-changes"]);
  return stdout + stderr;
}

/** A part of the stack's outputs. */
async function output(path: string): Promise<Record<string, string>> {
  const [name = "", part = ""] = path.split(".");
  const { stdout } = await home().stack.run(["stack", "output", "--json", name]);
  return JSON.parse(stdout)[part];
}
