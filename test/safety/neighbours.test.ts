import { expect, test } from "vitest";
import { buildNewPath, fetchPath } from "../../dev/lab/demonstration.ts";
import { generateSshKeypair } from "../../keys/ssh-key.ts";
import { useHome } from "../system/home.ts";
import { data, ours, paiOnKalaw, step, stepInputs } from "../system/step.ts";

// Nobody is root but root: nobody on kalaw has any right, and pai's configuration is fay's.
const home = useHome(undefined, { after: "up" });

/** Ends what is started there, whatever becomes of the test. */
const during = async (host: string, script: string, work: () => Promise<unknown>) => {
  await home().on(host, `systemd-run --quiet --unit=neighbour --uid=nobody sh -c '${script}'`);
  try {
    await work();
  } finally {
    await home().on(
      host,
      "systemctl stop neighbour; systemctl reset-failed neighbour 2>/dev/null || :",
    );
  }
};

test("who may hold a lock on anything that they can read holds up no revocation and no rebuild", async () => {
  const inputs = await stepInputs(home());
  const locks =
    "/etc/nixos /nix/var/nix/profiles /var/lib/nixos-cache /var/lib/nixos-cache/authorized_keys";
  const hold = `for it in ${locks}; do flock $it sleep 600 & done; wait`;
  await during("kalaw", hold, async () => {
    await home().on("kalaw", `timeout 20 ${step("revoke", paiOnKalaw)}`, inputs.key);
    await home().on("kalaw", `timeout 20 ${step("authorize", paiOnKalaw)}`, inputs.key);
    await home().set("servers.kalaw.onlyOurKeys", "true");
    await home().up();
    for (const lock of ["system.lock", "data.lock"]) {
      const { stderr } = await home().tryOn(
        "kalaw",
        `runuser -u nobody -- flock -n /run/nixos-cache/${lock} true`,
      );
      expect(stderr).toContain("Permission denied");
    }
  });
  expect(await home().on("kalaw", "sshd -T -C user=nix-ssh | grep -i authorizedkeysfile")).toMatch(
    /check_key$/,
  );
});

test("a process in a container that looks like a session is left alone", async () => {
  const inputs = await stepInputs(home());
  await home().on("kalaw", "cp /usr/bin/sleep /usr/local/bin/sshd-session");
  const contained =
    "unshare --pid --fork --mount-proc setpriv --reuid nix-ssh --clear-groups /usr/local/bin/sshd-session 600";
  await home().on(
    "kalaw",
    `systemd-run --quiet --property=KillSignal=SIGKILL --unit=contained ${contained}`,
  );
  const other = `${generateSshKeypair("x").publicKey}\n`;
  await home().on("kalaw", step("authorize", "other"), other);
  await home().on("kalaw", step("revoke", "other"), inputs.key);
  expect(await home().on("kalaw", "systemctl is-active contained")).toBe("active");
  await home().on("kalaw", "systemctl stop contained; rm /usr/local/bin/sshd-session");
});

/** What fay's repository would run, each leaving who ran it. */
const traps = `set -e
  printf '#!/bin/sh\\nid -u >>/tmp/ran\\ncat\\n' >/home/fay/trap && chmod +x /home/fay/trap
  git config core.fsmonitor /home/fay/trap && git config core.hooksPath /home/fay/hooks && mkdir /home/fay/hooks
  for hook in post-index-change pre-commit post-checkout; do cp /home/fay/trap /home/fay/hooks/$hook; done
  git config filter.x.clean /home/fay/trap && git config filter.x.smudge /home/fay/trap
  echo '* filter=x' >.gitattributes && touch /tmp/ran && chmod 666 /tmp/ran`;

test("nothing that the owner of a configuration has set up in git runs as root", async () => {
  await home().on("pai", "chown -R fay: /etc/nixos && chmod 755 /home/fay");
  await home().on("pai", `cd /etc/nixos && runuser -u fay -- sh -c "$(cat)"`, traps);
  await home().stack.run(["preview"]);
  await home().stack.run(["config", "set", "nixos-cache:plan", "true"]);
  await home().set("clients.pai.priority", "7");
  await home().stack.run(["preview"]);
  await home().stack.run(["config", "rm", "nixos-cache:plan"]);
  await home().set("clients.pai.onlyOurs", "true");
  await home().on("pai", "echo '# mine' >>/etc/nixos/base.nix");
  await home().stack.attempt(["up", "--yes", "--skip-preview"]);
  await home().set("clients.pai.onlyOurs", "false");
  await home().up();
  expect(await home().on("pai", "sort -u /tmp/ran | grep -x 0 || echo never")).toBe("never");
});

test("nor of somebody else's repository in a folder of root's", async () => {
  await home().on(
    "kalaw",
    `chown -R zoe: /etc/nixos/.git && cd /etc/nixos && runuser -u zoe -- git -C /etc/nixos -c safe.directory='*' config filter.x.clean 'id -u >>/tmp/ran; cat'`,
  );
  await home().set("servers.kalaw.onlyOurKeys", "false");
  expect(await home().failingUp()).toContain("dubious ownership");
  await home().on("kalaw", "test ! -e /tmp/ran && chown -R root: /etc/nixos/.git");
  await home().up();
});

test("a link or a pipe in the place of a file of ours neither leads root elsewhere nor holds it up", async () => {
  await home().on("pai", "echo private >/root/private && chmod 600 /root/private");
  const digest = await home().on("pai", "sha256sum </root/private | cut -d' ' -f1");
  for (const inItsPlace of ["ln -s /root/private", "mkfifo", "ln -s /dev/zero"]) {
    await home().on(
      "pai",
      `cd ${ours} && rm -f client.json .client.json.new && ${inItsPlace} client.json && ln -s /root/private .client.json.new`,
    );
    const { stdout, stderr } = await home().stack.run(["preview"]);
    expect(stdout + stderr).toMatch(/pai has drifted: \S*client.json was changed by hand/);
    await home().up();
    expect(await home().on("pai", `cat ${data}/expected`)).not.toContain(digest);
    expect(await home().on("pai", "cat /root/private; stat -c %a /root/private")).toBe(
      "private\n600",
    );
    expect(await home().on("pai", `stat -c '%F %U' ${ours}/client.json`)).toBe("regular file fay");
  }
});

test("a folder of ours that is a link is refused, and a plan of it shows nobody a key", async () => {
  await home().on("pai", `mv ${ours} /home/fay/aside && ln -s ${data}/secret ${ours}`);
  expect(await home().failingUp()).toContain(`${ours} is a link: remove it`);
  await home().stack.run(["config", "set", "nixos-cache:plan", "true"]);
  await home().stack.attempt(["preview"]);
  await home().stack.run(["config", "rm", "nixos-cache:plan"]);
  const line = await home().on("pai", `sed -n 2p ${data}/secret/identity`);
  expect((await home().tryOn("pai", `grep -rlF '${line}' /nix/store /tmp`)).stdout).toBe("");
  await home().on("pai", `rm ${ours} && mv /home/fay/aside ${ours}`);
});

test("a flake that is a link leads into no folder of root's", async () => {
  await home().on(
    "pai",
    `mkdir -m 700 /root/private.d && cp /etc/nixos/flake.nix /root/private.d/ && cd /etc/nixos &&
     mv flake.nix /home/fay/ && ln -s /root/private.d/flake.nix flake.nix`,
  );
  await home().set("clients.pai.priority", "8");
  await home().failingUp();
  expect(await home().on("pai", "ls -A /root/private.d")).toBe("flake.nix");
  await home().on("pai", "mv -f /home/fay/flake.nix /etc/nixos/flake.nix");
  await home().up();
  await fetchPath(home().lab, "pai", await buildNewPath(home().lab, "kalaw"));
});
