import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { Diagnosis } from "../../cli/commands/doctor.ts";
import { useHome } from "../system/home.ts";
import { nixosCache } from "./nixos-cache.ts";

const home = useHome(undefined, { after: "up" });

/** What the doctor finds: for each place where something is wrong, a line for each finding. */
async function found(env?: Record<string, string>): Promise<Record<string, string[]>> {
  const { stdout, stderr, code } = await nixosCache(home(), ["doctor", "--json"], env);
  expect(stderr).toBe("");
  const ill = (JSON.parse(stdout) as Diagnosis[]).filter(({ findings }) => findings.length > 0);
  expect(code).toBe(ill.length === 0 ? 0 : 1);
  return Object.fromEntries(
    ill.map(({ place, findings }) => [
      place,
      findings.map(({ wrong, todo }) => `${wrong} → ${todo}`).sort(),
    ]),
  );
}

/** A fault on a machine: what brings it about, what takes it away, and what the doctor says of it. */
interface Fault {
  on: "kalaw" | "pai";
  plant: string;
  mend: string;
  says: RegExp;
}

/** Plants faults that do not hide each other, has each of them found, and takes them away. */
async function eachIsFound(faults: readonly Fault[]): Promise<void> {
  for (const { on, plant } of faults) await home().on(on, plant);
  const all = await found();
  for (const { on, says } of faults) {
    expect(all[on], String(says)).toContainEqual(expect.stringMatching(says));
  }
  for (const { on, mend } of [...faults].reverse()) await home().on(on, mend);
}

/** A file of the system as a text of its own, changed by a filter. */
const replace = (file: string, filter: string) =>
  `cp -P ${file} /root/kept && cat ${file} >/root/changed && rm ${file} && ${filter} </root/changed >${file}`;
const putBack = (file: string) => `rm ${file} && mv /root/kept ${file}`;

test("of a healthy stack it finds nothing", async () => {
  expect(await found()).toEqual({});
});

test("what people do to the files of a machine", async () => {
  await eachIsFound([
    {
      on: "kalaw",
      plant: "echo >>/var/lib/nixos-cache/nix.conf",
      mend: "sed -i '$d' /var/lib/nixos-cache/nix.conf",
      says: /^nix.conf was changed by hand.* → run pulumi up/,
    },
    {
      on: "kalaw",
      plant:
        "mkdir -p /etc/ssh/authorized_keys.d && ssh-keygen -q -t ed25519 -N '' -f /root/strange && cp /root/strange.pub /etc/ssh/authorized_keys.d/nix-ssh",
      mend: "rm /root/strange* /etc/ssh/authorized_keys.d/nix-ssh",
      says: /^nix-ssh also lets in 1 key not of this stack.* → .*onlyOurKeys: true/,
    },
    {
      on: "kalaw",
      plant:
        "cd /etc/nixos && git add -f nixos-cache && git -c user.name=a -c user.email=a@b commit -qm all",
      mend: "cd /etc/nixos && git reset -q --mixed HEAD~ && git add -Nf nixos-cache",
      says: /was committed to git.* → git .* rm -r --cached nixos-cache/,
    },
    {
      on: "kalaw",
      plant: replace("/etc/ssh/sshd_config", "grep -vi '^subsystem'"),
      mend: putBack("/etc/ssh/sshd_config"),
      says: /^its sshd offers no SFTP.* → .*allowSFTP/,
    },
    {
      on: "kalaw",
      plant: "mkdir -p /boot && mount -t tmpfs -o size=1m tmpfs /boot",
      mend: "umount /boot",
      says: /^\/boot has .* left → delete old generations/,
    },
    {
      on: "pai",
      plant: "sed -i '/nixos-cache/d' /etc/nixos/base.nix",
      mend: "git -C /etc/nixos checkout -q base.nix",
      says: /^no file in its \/etc\/nixos imports .\/nixos-cache → .*imports = /,
    },
    {
      on: "pai",
      plant: "git -C /etc/nixos reset -q -- nixos-cache",
      mend: "git -C /etc/nixos add -Nf nixos-cache",
      says: /hidden from Nix: git does not know it any more → run pulumi up/,
    },
    {
      on: "pai",
      plant: "printf 'Host kalaw\\n  Port 2222\\n' >/root/.ssh/config",
      mend: "rm /root/.ssh/config",
      says: /\/root\/.ssh\/config takes the place of our settings: port → take/,
    },
    {
      on: "pai",
      plant:
        "cp -a /var/lib/nixos-cache /root/data && mount -t tmpfs tmpfs /var/lib/nixos-cache && chmod 755 /var/lib/nixos-cache && cp -a /root/data/. /var/lib/nixos-cache",
      mend: "umount /var/lib/nixos-cache && rm -r /root/data",
      says: /^\/var\/lib\/nixos-cache is in memory.* → keep it on a disk/,
    },
    ...[
      {
        line: "substituters = https://cache.nixos.org",
        says: /^Nix does not ask kalaw: .* → look in/,
      },
      { line: "trusted-public-keys =", says: /^Nix does not trust the signatures of kalaw/ },
      { line: "substitute = false", says: /^Nix fetches nothing: substitute is false/ },
      { line: "fallback = false", says: /^a build fails while its cache is off/ },
    ].map(
      ({ line, says }): Fault => ({
        on: "pai",
        plant: `mkdir -p /root/.config/nix && echo '${line}' >>/root/.config/nix/nix.conf`,
        mend: "rm -rf /root/.config/nix",
        says,
      }),
    ),
  ]);
});

test("a name that a client does not know, and a Nix daemon that is off", async () => {
  await eachIsFound([
    {
      on: "pai",
      plant: replace("/etc/hosts", "sed 's/kalaw/nobody/'"),
      mend: putBack("/etc/hosts"),
      says: /^does not know the name kalaw.* → add it to networking.hosts/,
    },
    {
      on: "kalaw",
      plant: "systemctl stop nix-daemon.socket nix-daemon.service",
      mend: "systemctl start nix-daemon.socket",
      says: /^its Nix daemon's socket is inactive → run systemctl start/,
    },
  ]);
});

test("a network in between that lets nothing pass", async () => {
  await eachIsFound([
    {
      on: "pai",
      plant: `ip route add unreachable ${home().lab.address("kalaw")}/32`,
      mend: `ip route del unreachable ${home().lab.address("kalaw")}/32`,
      says: /^kalaw port 22 does not answer → let the firewall of kalaw pass/,
    },
  ]);
});

test("a key that its server does not know any more", async () => {
  await eachIsFound([
    {
      on: "kalaw",
      plant:
        "cp -p /var/lib/nixos-cache/authorized_keys /root/kept && : >/var/lib/nixos-cache/authorized_keys",
      mend: "cat /root/kept >/var/lib/nixos-cache/authorized_keys",
      says: /^authorized_keys was changed by hand.* → run pulumi up/,
    },
    {
      on: "pai",
      plant: "true",
      mend: "true",
      says: /^kalaw does not let the key of pai in → run pulumi up/,
    },
  ]);
});

test("what stands between the operator and the machines", async () => {
  const file = join(home().stack.folder, "Pulumi.lab.yaml");
  const before = await readFile(file, "utf8");
  const { lab } = home();
  /** The settings as they were, but for these texts. */
  const withSettings = async (changes: Record<string, string>) => {
    const changed = Object.entries(changes).reduce((text, [from, to]) => {
      expect(text).toContain(from);
      return text.replace(from, to);
    }, before);
    await writeFile(file, changed);
    return found();
  };
  const [kalaw, pai] = [`host: ${lab.address("kalaw")}`, `host: ${lab.address("pai")}`];
  const other = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB";

  expect(
    await withSettings({ [kalaw]: "host: nowhere.invalid", [await lab.hostKey("pai")]: other }),
  ).toEqual({
    kalaw: [expect.stringMatching(/^the name nowhere.invalid is not known → correct connection/)],
    pai: [expect.stringMatching(/another host key than the one in the settings → .*console/)],
  });

  expect(
    await withSettings({
      [kalaw]: `${kalaw}\n        port: 2222`,
      [`${pai}\n        user: root`]: `${pai}\n        user: stranger`,
    }),
  ).toEqual({
    kalaw: [expect.stringMatching(/port 2222 refuses connections → .*connection.port/)],
    pai: [expect.stringMatching(/does not let stranger in with this key → add your public key/)],
  });

  await home().on("pai", replace("/etc/sudoers", "sed 's/NOPASSWD: *//g'"));
  expect(
    await withSettings({
      [`${pai}\n        user: root`]: `${pai}\n        user: fay`,
      "address: kalaw": "address: pai",
    }),
  ).toMatchObject({
    pai: [expect.stringMatching(/sudo: a password is required.* → .*security\.sudo/)],
  });
  await home().on("pai", putBack("/etc/sudoers"));

  expect(await withSettings({ "address: kalaw": "address: pai" })).toMatchObject({
    pai: expect.arrayContaining([
      expect.stringMatching(/^who answers at pai has another host key than kalaw/),
    ]),
  });
  expect(await withSettings({ 'nixos-cache:rotation: "1"': 'nixos-cache:rotation: ""' })).toEqual({
    "this computer": [expect.stringMatching(/^nixos-cache:rotation is empty → write any word/)],
  });
  await writeFile(file, before);
});

test("what is amiss on this computer", async () => {
  const passphrase = { PULUMI_CONFIG_PASSPHRASE: "wrong", PULUMI_CONFIG_PASSPHRASE_FILE: "" };
  expect(await found(passphrase)).toEqual({
    "this computer": [expect.stringMatching(/^the passphrase is not the one of this stack → set/)],
  });
  expect(await found({ PULUMI_STACK: "elsewhere" })).toEqual({
    "this computer": [expect.stringMatching(/^no stack is selected → /)],
  });
  expect(await found({ PULUMI_BACKEND_URL: "", HOME: home().stack.folder })).toEqual({
    "this computer": [expect.stringMatching(/^you are not logged in to a backend/)],
  });
  await home().stack.run(["config", "rm", "nixos-cache:privateKey"]);
  expect(await found({ SSH_AUTH_SOCK: "/nowhere" })).toMatchObject({
    "this computer": [expect.stringMatching(/^the SSH agent does not answer → start one/)],
  });
});
