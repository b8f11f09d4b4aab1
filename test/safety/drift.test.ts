import { basename } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { buildNewPath, fetchPath } from "../../dev/lab/demonstration.ts";
import { until } from "../../dev/lab/until.ts";
import { generateSshKeypair, sshFingerprint } from "../../keys/ssh-key.ts";
import { helperFiles } from "../../machine/helper.ts";
import { login } from "../lab/login.ts";
import { useHome } from "../system/home.ts";
import { editBy } from "./owner.ts";
import { unchanged } from "./said.ts";

const home = useHome(["kalaw", "pai"], { after: "up" });
const hosts = ["kalaw", "pai"] as const;
const ours = "/etc/nixos/nixos-cache";
const data = "/var/lib/nixos-cache";
const sshd = "/usr/sbin/sshd";
const newHost = "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/run/known_hosts";
const evil = () => generateSshKeypair("evil").publicKey.split(" ").slice(0, 2).join(" ");

/** What somebody does on a machine, as root, and what a preview says of it. */
interface Tampering {
  name: string;
  host: (typeof hosts)[number];
  script: string;
  says: RegExp;
}

/** Those of a round are done together, so none of them hides another. */
const rounds: Tampering[][] = [
  [
    {
      name: "an authorized key added, as if it was a client's",
      host: "kalaw",
      script: `echo '${evil()} organization/nixos-cache/lab ghost' >>${data}/authorized_keys`,
      says: /authorized_keys was changed by hand \(lines added: 1, missing: 0\)/,
    },
    {
      name: "another signing key",
      host: "kalaw",
      script: `nix key generate-secret --key-name evil >$(ls ${data}/secret/signing/kalaw-*)`,
      says: /secret\/signing\/kalaw-\S+ was changed by hand/,
    },
    {
      name: "server settings edited",
      host: "kalaw",
      script: `sed -i 's/true/false/' ${ours}/server.json`,
      says: /server.json was changed by hand/,
    },
    {
      name: "the helper edited",
      host: "kalaw",
      script: `sed -i 's/^set -eu/set -u/' ${data}/helper/steps/main.sh`,
      says: /the helper was edited by hand/,
    },
    {
      name: "another identity",
      host: "pai",
      script: `cd ${data}/secret && rm identity && ssh-keygen -q -t ed25519 -N '' -f identity && rm identity.pub`,
      says: /secret\/identity was changed by hand/,
    },
    {
      name: "a line added to our nix.conf, and it closed to others",
      host: "pai",
      script: `echo 'trusted-users = zoe' >>${data}/nix.conf; chmod 600 ${data}/nix.conf`,
      says: /nix.conf was changed by hand \(lines added: 1, missing: 0\).*others than root cannot read nix.conf/,
    },
    {
      name: "client settings edited, and switched to",
      host: "pai",
      script: `sed -i 's/"port":22/"port":2222/' ${ours}/client.json && nixos-rebuild switch`,
      says: /client.json was changed by hand/,
    },
    {
      name: "the helper removed",
      host: "pai",
      script: `rm -r ${data}/helper`,
      says: /the helper is missing/,
    },
  ],
  [
    {
      name: "an authorized key removed",
      host: "kalaw",
      script: `sed -i '/ pai@kalaw$/d' ${data}/authorized_keys`,
      says: /authorized_keys was changed by hand \(lines added: 0, missing: 1\)/,
    },
    {
      name: "the signing key removed",
      host: "kalaw",
      script: `rm ${data}/secret/signing/kalaw-*`,
      says: /secret\/signing\/kalaw-\S+ is missing/,
    },
    {
      name: "our files taken out of git",
      host: "kalaw",
      script: "git -C /etc/nixos reset --quiet -- nixos-cache",
      says: /default.nix .*server.json hidden from Nix/,
    },
    {
      name: "the folder closed to others",
      host: "kalaw",
      script: `chmod 700 ${data}`,
      says: /others than root cannot read nixos-cache/,
    },
    {
      name: "the module edited, and switched to",
      host: "pai",
      script: `sed -i 's/lib.mkDefault true/lib.mkDefault false/' ${ours}/module.nix && nixos-rebuild switch`,
      says: /module.nix was changed by hand/,
    },
    {
      name: "the identity removed",
      host: "pai",
      script: `rm ${data}/secret/identity`,
      says: /secret\/identity is missing/,
    },
    {
      name: "our nix.conf removed",
      host: "pai",
      script: `rm ${data}/nix.conf`,
      says: /nix.conf is missing/,
    },
    {
      name: "the helper edited, so that it does nothing",
      host: "pai",
      script: `echo 'exit 0' >${data}/helper/steps/main.sh`,
      says: /the helper was edited by hand/,
    },
  ],
  [
    {
      name: "the authorized keys removed",
      host: "kalaw",
      script: `rm ${data}/authorized_keys`,
      says: /authorized_keys is missing/,
    },
    {
      name: "the signing key opened to others",
      host: "kalaw",
      script: `chmod 644 ${data}/secret/signing/kalaw-*`,
      says: /secret\/signing\/kalaw-\S+ was opened to others than root/,
    },
    {
      name: "a second signing key put beside it",
      host: "kalaw",
      script: `nix key generate-secret --key-name evil >${data}/secret/signing/evil && chmod 600 ${data}/secret/signing/evil`,
      says: /secret\/signing\/evil was added by hand/,
    },
    {
      name: "our nix.conf replaced by a link",
      host: "kalaw",
      script: `mv ${data}/nix.conf /var/tmp && ln -s /var/tmp/nix.conf ${data}/`,
      says: /nix.conf is a link/,
    },
    {
      name: "the host's name changed in our files, and a configuration without the module switched to",
      host: "kalaw",
      script: `echo inle >${ours}/host
        sed -i 's/^  imports = .*/  imports = [ ];/' /etc/nixos/base.nix && nixos-rebuild switch &&
        git -C /etc/nixos checkout -q base.nix`,
      says: /host was changed by hand, runs a configuration without nixos-cache, generation \d+/,
    },
    {
      name: "an older generation",
      host: "pai",
      script: "nixos-rebuild switch --rollback",
      says: /runs (a configuration without nixos-cache|another system than the one last activated), generation \d+/,
    },
    {
      name: "a trusted key replaced",
      host: "pai",
      script: `sed -i 's/= kalaw-.*/= evil-1:AAAA/' ${data}/nix.conf`,
      says: /nix.conf was changed by hand \(lines added: 1, missing: 1\)/,
    },
    {
      name: "the identity given to somebody",
      host: "pai",
      script: `chown zoe ${data}/secret/identity`,
      says: /secret\/identity was opened to others than root/,
    },
  ],
  [
    {
      name: "an authorized key replaced",
      host: "kalaw",
      script: `echo '${evil()} organization/nixos-cache/lab pai@kalaw' >${data}/authorized_keys`,
      says: /authorized_keys was changed by hand \(lines added: 1, missing: 1\)/,
    },
    {
      name: "sshd's configuration replaced",
      host: "kalaw",
      script: `grep -v 'AuthorizedKeysFile /var' /etc/ssh/sshd_config >/etc/ssh/new &&
        mv /etc/ssh/new /etc/ssh/sshd_config && systemctl restart sshd`,
      says: /sshd_config is not the file of the running system.*sshd has authorizedkeysfile \S+ .*for nix-ssh/,
    },
    {
      name: "a key that is nowhere named in our nix.conf",
      host: "kalaw",
      script: `sed -i 's|$| /root/evil|' ${data}/nix.conf`,
      says: /nix.conf was changed by hand \(lines added: 1, missing: 1\)/,
    },
    {
      name: "our folder opened to others",
      host: "kalaw",
      script: `chmod 777 ${data}; chown zoe ${data}/helper/steps/main.sh`,
      says: /others than root can write nixos-cache main.sh/,
    },
    {
      name: "the system's nix.conf replaced",
      host: "pai",
      script: `grep -v include /etc/nix/nix.conf >/etc/nix/new && mv /etc/nix/new /etc/nix/nix.conf`,
      says: /\/etc\/nix\/nix.conf is not the file of the running system/,
    },
    {
      name: "an older generation to boot",
      host: "pai",
      script: "nixos-rebuild boot --rollback",
      says: /will boot (a configuration without nixos-cache|another system than the one last activated), generation \d+/,
    },
    {
      name: "the Nix daemon stopped",
      host: "pai",
      script: "systemctl stop nix-daemon.socket nix-daemon.service",
      says: /the Nix daemon was stopped/,
    },
  ],
  [
    {
      name: "the list of owners removed",
      host: "kalaw",
      script: `rm ${data}/owners`,
      says: /kalaw has drifted: \/var\/lib\/nixos-cache\/owners is missing\./,
    },
    {
      name: "what is expected removed",
      host: "pai",
      script: `rm ${data}/expected`,
      says: /\/var\/lib\/nixos-cache\/expected is missing/,
    },
  ],
];

/** All that a repair has to bring back, as text. */
async function state(host: string): Promise<string> {
  // What a check has left in memory, and what Nix leaves when the machine goes down.
  const passing = /^(.*\/run\/nixos-cache.*|\/tmp\/nix-[\d-]+)\n/gm;
  return (
    `${await home().snapshot(host)}\n`.replace(passing, "") +
    (await home().on(
      host,
      `cd ${data} && find . ! -name log -printf '%M %u %y %p\\n' | sort
       sort authorized_keys nix.conf expected owners 2>/dev/null; find secret -type f | sort | xargs sha256sum
       cd helper && sha256sum --check --status SHA256SUMS
       systemctl is-active nix-daemon.socket; readlink /boot/nixos-system`,
    ))
  );
}

const each = <T>(work: (host: (typeof hosts)[number]) => Promise<T>) =>
  Promise.all(hosts.map(work));
const states = async () =>
  Object.fromEntries(await each(async (host) => [host, await state(host)]));
const fetches = async () => fetchPath(home().lab, "pai", await buildNewPath(home().lab, "kalaw"));

/** What a preview says of each machine, and of the steps that it would take. */
async function preview(...args: string[]): Promise<string> {
  const { stdout, stderr } = await home().stack.run(["preview", ...args]);
  return stdout + stderr;
}
const driftOf = (host: string, words: string) =>
  words.match(new RegExp(`${host} has drifted: .*`))?.[0] ?? "";

/** Brings a machine to where it was, and checks that it is there. */
async function repaired(): Promise<void> {
  await home().up();
  await unchanged(home());
  expect(await states()).toEqual(healthy);
  await fetches();
}

let healthy: Record<string, string>;
/** A program in the place of sshd, which answers `sshd -T` as newer ones do. */
const mixedCase = `#!/bin/sh
  case " $* " in
    *" -T "*) touch /run/asked-sshd && ${sshd}.real "$@" |
      sed -E 's/^./\\U&/; s/^(Force|Authorized|Disable|Permit|Host|Expose)(.)/\\1\\U\\2/' ;;
    *) exec ${sshd}.real "$@" ;;
  esac`;
const found: { tampering: string; found: string }[] = [];

beforeAll(async () => {
  // So that there is an older generation with our settings.
  await home().set("clients.pai.priority", "30");
  await home().set("servers.kalaw.onlyOurKeys", "true");
  await home().on(
    "kalaw",
    `mv ${sshd} ${sshd}.real && cat >${sshd} && chmod +x ${sshd}`,
    mixedCase,
  );
  await home().up();
});

afterAll(() => {
  console.table(found);
});

test("none is found on untouched machines, also where sshd answers in mixed case, as OpenSSH 10.5 and newer do", async () => {
  await home().on("kalaw", "rm /run/asked-sshd");
  expect(await unchanged(home())).not.toContain("warning");
  await home().on("kalaw", `rm /run/asked-sshd && mv ${sshd}.real ${sshd}`);
  healthy = await states();
});

describe("is found, told in words, and repaired by one update", () => {
  test.each(rounds.map((round) => ({ round, names: round.map(({ name }) => name).join("; ") })))(
    "$names",
    async ({ round }) => {
      const scripts = (host: string) =>
        round.flatMap((its) => (its.host === host ? [`{ ${its.script}\n}`] : []));
      await each((host) => home().on(host, scripts(host).join(" &&\n")));
      const said = await preview("--diff");
      for (const { name, host, says } of round) {
        const words = driftOf(host, said);
        expect(words, said).toMatch(says);
        found.push({ tampering: name, found: words.match(says)?.[0] ?? "" });
      }
      await repaired();
    },
  );

  test("all that is not in the configuration, on both machines; meanwhile they build, boot, and let their owner in", async () => {
    const builds = (host: string) =>
      home().tryOn(
        host,
        `runuser -u fay -- env PATH=$PATH nix-build --no-out-link --expr '(import /etc/nixpkgs { }).runCommand "hello" { } "echo ${Math.random()} > $out"'`,
      );
    /** Nobody is let in as nix-ssh, and everybody else as ever. */
    const letsIn = async () => {
      const key = `-i /etc/ssh/ssh_host_ed25519_key ${newHost}`;
      const { stderr } = await home().tryOn(
        "pai",
        `ssh -F none -o BatchMode=yes ${key} nix-ssh@kalaw`,
      );
      expect(stderr).toContain("Permission denied (publickey");
      for (const user of ["root", "fay"])
        expect((await login(home().lab, "kalaw", "true", user)).code).toBe(0);
    };
    const builder = home().on("kalaw", "systemctl show --property=MainPID --value nix-daemon");
    expect(await builder).not.toBe("0");
    await each((host) => home().on(host, `rm -rf ${data}`));
    await each((host) =>
      until(async () => (await builds(host)).code === 0, {
        seconds: 5,
        otherwise: async () => `${host} does not build: ${(await builds(host)).stderr}`,
      }),
    );
    await letsIn();

    await each((host) => home().lab.reboot(host));
    await each(async (host) => {
      expect(await home().on(host, "systemctl is-system-running")).toBe("running");
      const { code, stderr } = await builds(host);
      expect(code, stderr).toBe(0);
    });
    await letsIn();

    const said = await preview();
    for (const host of hosts)
      expect(driftOf(host, said), said).toContain(
        `${host} has drifted: /var/lib/nixos-cache is missing. \`pulumi up\` repairs it.`,
      );
    expect(said).toContain("The update would rebuild no machine.");
    const generations = () => each((host) => home().generations(host));
    const before = await generations();
    await repaired();
    expect(await generations()).toEqual(before);
  });
});

test("a machine that is off is unknown, not clean, and fails nothing", async () => {
  await home().lab.powerOff("pai");
  expect(await preview()).toMatch(/pai: could not be looked at.*unknown/);
  await home().lab.powerOn("pai");
});

test("observing can be turned off", async () => {
  await home().stack.run(["config", "set", "nixos-cache:observe", "false"]);
  await home().on("kalaw", `echo >>${ours}/server.json`);
  await unchanged(home());
  await home().stack.run(["config", "rm", "nixos-cache:observe"]);
  await repaired();
});

test("an older generation that is booted by hand lets no revoked key in, and the new one; `up` brings the machine forward", async () => {
  await home().on("pai", `cp ${data}/secret/identity /run/old`);
  await home().set("clients.pai.rotation", "again");
  await home().up();
  // The first with our settings.
  await home().on(
    "kalaw",
    "cd /nix/var/nix/profiles && nix-env -p system --switch-generation 2 && system/bin/switch-to-configuration boot",
  );
  await home().lab.reboot("kalaw");
  const { stderr } = await home().tryOn(
    "pai",
    `ssh -F none -i /run/old -o IdentitiesOnly=yes -o BatchMode=yes ${newHost} nix-ssh@kalaw`,
  );
  expect(stderr).toContain("Permission denied (publickey");
  await fetches();
  expect(driftOf("kalaw", await preview())).toMatch(
    /runs another system than the one last activated, generation 2/,
  );
  await home().up();
  await unchanged(home());
  await fetches();
});

describe("what no step repairs is told, and changes nothing", () => {
  test("our folder committed to git, until the owner does what the words say", async () => {
    const git = "git -C /etc/nixos -c user.name=owner -c user.email=owner@lab";
    await home().on("kalaw", `${git} add nixos-cache && ${git} commit -q -m all -- nixos-cache`);
    const said = await unchanged(home());
    const advice = said.match(
      /committed to git, and belongs to this machine alone: (.*), and/,
    )?.[1];
    expect(advice, said).toBe(`git -C /etc/nixos rm -r --cached nixos-cache`);
    await home().on("kalaw", `${advice} && ${git} commit -q -m "Not all"`);
    await home().up();
    expect(await unchanged(home())).not.toContain("committed");
    const marked = await home().on("kalaw", `${git} status --porcelain -- nixos-cache`);
    const module = helperFiles.filter(({ path }) => path.startsWith("nixos/"));
    const ours = [...module.map(({ path }) => basename(path)), "host", "server.json"];
    expect(marked.split("\n")).toEqual(ours.sort().map((file) => ` A nixos-cache/${file}`));
  });

  test("keys from elsewhere, by fingerprint, until onlyOurKeys ends their access", async () => {
    await home().set("servers.kalaw.onlyOurKeys", "false");
    await home().up();
    const { publicKey, privateKey } = generateSshKeypair("stranger");
    await editBy(home(), "kalaw", `{ nix.sshServe.keys = [ "${publicKey}" ]; }`);
    await home().on("kalaw", "nixos-rebuild switch");
    await home().on("pai", "umask 077; cat >/run/stranger; mkfifo /run/open", privateKey);
    expect(await unchanged(home())).toContain(
      `kalaw: nix-ssh also lets in 1 key not of this stack: ${sshFingerprint(publicKey)}\n`,
    );
    const ssh = `ssh -F none -i /run/stranger -o IdentitiesOnly=yes -o BatchMode=yes ${newHost} nix-ssh@kalaw`;
    const session = home().tryOn("pai", `exec 3<>/run/open; ${ssh} <&3`);
    await until(
      async () =>
        (await home().tryOn("kalaw", "pgrep -u nix-ssh -f 'nix-store --serve'")).code === 0,
      { seconds: 30, otherwise: "the stranger opens no session" },
    );

    await home().set("servers.kalaw.onlyOurKeys", "true");
    await home().up();
    expect((await session).stderr).toMatch(/closed by|Connection reset/);
    expect((await home().tryOn("pai", ssh)).stderr).toContain("Permission denied (publickey");
    expect(await unchanged(home())).not.toContain("also lets in");
    await fetches();
    await editBy(home(), "kalaw");
    await home().on("kalaw", "nixos-rebuild switch");
  });
});

test("a step repairs its own line of a file, and what another has to repair goes on being told", async () => {
  const { lab } = home();
  await home().set("servers.pai.connection.host", lab.address("pai"));
  await home().set("servers.pai.connection.hostKey", await lab.hostKey("pai"));
  await home().up();
  const lines = () => home().on("pai", `sort ${data}/nix.conf`);
  const before = await lines();
  expect(before.split("\n")).toHaveLength(2);

  await home().on("pai", `rm ${data}/nix.conf`);
  // So that pai cannot prove that its key is good.
  await home().on("kalaw", "systemctl stop sshd");
  expect(await home().failingUp()).toContain("cannot read from its cache kalaw");
  await home().on("kalaw", "systemctl start sshd");
  expect(await lines()).toMatch(/^extra-secret-key-files = \S+ \S+$/);
  expect(driftOf("pai", await preview())).toContain(
    "nix.conf was changed by hand (lines added: 0, missing: 1)",
  );
  await home().up();
  await unchanged(home());
  expect(await lines()).toBe(before);
  await fetches();
});
