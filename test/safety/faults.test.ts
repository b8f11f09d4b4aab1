import { afterAll, beforeAll, expect, test } from "vitest";
import { buildNewPath, fetchPath } from "../../dev/lab/demonstration.ts";
import { outcome } from "../../dev/lab/outcome.ts";
import { type Home, useHome } from "../system/home.ts";
import { type Fault, faults } from "./faults.ts";
import { editBy } from "./owner.ts";

/** A change of a machine, and how it is confirmed. */
interface Change {
  name: string;
  host: string;
  home: () => Home;
  /** Makes the next `pulumi up` rebuild the machine. */
  make(home: Home): Promise<unknown>;
  /** The faults that are tried where the matrix is not asked for as a whole. */
  tried: string[];
}

let changesMade = 0;

const changes: Change[] = [
  {
    name: "server, first set-up",
    host: "kalaw",
    home: useHome(),
    make: (home) => home.stack.run(["destroy", "--yes", "--skip-preview"]),
    tried: ["does not evaluate", "sshd off", "power cut on trial"],
  },
  {
    name: "server, new key",
    host: "kalaw",
    home: useHome(),
    make: (home) => home.set("clients.pai.rotation", `${++changesMade}`),
    tried: [
      "activation fails half-way",
      "sshd off",
      "firewall shuts everybody out",
      "full disk",
      "read-only file system",
      "somebody's nixos-rebuild at the same time",
    ],
  },
  {
    name: "client",
    host: "pai",
    home: useHome(),
    make: (home) => home.set("clients.pai.priority", `${++changesMade}`),
    tried: [
      "does not build",
      "module not imported",
      "a unit fails",
      "address changed",
      "reboot on trial",
      "connection dropped in the switch",
    ],
  },
];

const wholeMatrix = process.env.NIXOS_CACHE_WHOLE_MATRIX !== undefined;
const matrix: Record<string, Record<string, string>> = {};

beforeAll(async () => {
  for (const { home, host } of changes) {
    await home().set(`${host === "kalaw" ? "servers" : "clients"}.${host}.confirmWithin`, "10");
    await home().up();
  }
});

afterAll(() => {
  console.table(faults.map(({ name }) => ({ fault: name, ...matrix[name] })));
});

test.concurrent.each(changes)(
  "no fault hurts the machine: $name",
  async (change) => {
    const wrong: string[] = [];
    for (const fault of faults) {
      if (!wholeMatrix && !change.tried.includes(fault.name)) continue;
      const words = await suffer(change, fault).catch(({ message }) => {
        wrong.push(`${fault.name}: ${message}`);
        return "FAILED";
      });
      matrix[fault.name] = { ...matrix[fault.name], [change.name]: words };
    }
    expect(wrong).toEqual([]);
  },
  1_800_000,
);

/** One cell of the matrix. @returns in a few words, what became of the machine */
async function suffer({ host, home: its, make }: Change, fault: Fault): Promise<string> {
  const home = its();
  await make(home);
  let undone = false;
  const undo = async () => {
    if (!undone) await fault.after?.(home, host);
    undone = true;
  };
  if (fault.edit !== undefined) await editBy(home, host, fault.edit);
  let words: string;
  try {
    await fault.before?.(home, host);
    const before = await stateOf(home, host);
    const up = home.stack.attempt(["up", "--yes", "--skip-preview"]);
    await fault.during?.(home, host);
    const { code, stdout, stderr } = await up;
    const said = stdout + stderr;
    if (fault.afterFirst) await undo();
    await logsIn(home, host);
    if (fault.says === undefined) expect(code, said).toBe(0);
    else tells(host, fault.says, said);
    words = (await stateOf(home, host)) === before ? "as before" : await asAWhole(home, host, said);
  } finally {
    await undo();
    if (fault.edit !== undefined) await editBy(home, host);
  }
  await home.up();
  await home.stack.run(["preview", "--expect-no-changes"]);
  await fetchPath(home.lab, "pai", await buildNewPath(home.lab, "kalaw"));
  return words;
}

/** The update failed, and in a few lines, besides the table of steps, says where and why. */
function tells(host: string, why: RegExp, said: string): void {
  const [, diagnostics = ""] = said.split("Diagnostics:");
  expect(diagnostics, said).toMatch(why);
  expect(diagnostics, said).toMatch(
    new RegExp(`command:remote:Command \\((${host}-|\\S+-${host}\\))`),
  );
  expect(diagnostics.split("\nOutputs:")[0]?.split("\n").length, said).toBeLessThan(50);
}

/** What a change is about: what runs, what boots, our files, what git knows of them. */
function stateOf(home: Home, host: string): Promise<string> {
  return home.on(
    host,
    `readlink -f /run/current-system /nix/var/nix/profiles/system /boot/nixos-system
     cd /etc/nixos && find nixos-cache -type f 2>/dev/null | sort | xargs -r sha256sum
     git ls-files --stage nixos-cache && git status --porcelain nixos-cache
     systemctl is-active sshd nix-daemon.socket
     ip -brief address show dev eth0 | cut -d' ' -f1 && systemctl list-units --state=failed --plain --no-legend`,
  );
}

/** Where the machine is not as it was, it is as the files want it: no half of it. */
async function asAWhole(home: Home, host: string, said: string): Promise<string> {
  const running = await home.on(
    host,
    "cat /run/current-system/etc/nixos-cache/fingerprint || echo none",
  );
  const files = await home.on(
    host,
    `cd /etc/nixos/nixos-cache
     if [ ! -e server.json ] && [ ! -e client.json ]; then echo none; exit; fi
     for file in authorized/*.pub client.json default.nix server.json; do
       if [ -e $file ]; then sha256sum $file; fi; done | sha256sum | cut -d' ' -f1`,
  );
  const clean = await home.on(
    host,
    "git -C /etc/nixos status --porcelain nixos-cache | grep -v '^ A' || true",
  );
  expect(clean, said).toBe("");
  // A revocation changes the files, and waits for the next rebuild.
  const applied = await home.on(host, "sed -n 1p /var/lib/nixos-cache/applied || true");
  if (applied === `${files} ${running}`) return "as wanted";
  if (running === files) return running === "none" ? "not set up" : "as wanted";
  // After a power cut the system is the one before, and the files wait for the next step to be put back.
  const waits = await home.tryOn(host, "test -d /var/lib/nixos-cache/pending");
  expect(waits.code, said).toBe(0);
  return "system as before, files put back by the next step";
}

/** The operator can, as `pulumi up` would. */
async function logsIn(home: Home, host: string): Promise<void> {
  const options = [
    "BatchMode=yes",
    "IdentitiesOnly=yes",
    "IdentityFile=operator",
    "ConnectTimeout=10",
  ];
  options.push("UserKnownHostsFile=known_hosts", "StrictHostKeyChecking=yes");
  const ssh = ["ssh", "-F", "none", ...options.flatMap((option) => ["-o", option])];
  const { code, stderr } = await outcome(
    [...home.lab.enter, ...ssh, `root@${home.lab.address(host)}`, "true"],
    { cwd: home.lab.folder },
  );
  expect(code, stderr).toBe(0);
}
