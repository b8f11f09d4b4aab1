import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { buildNewPath, fetchPath } from "../../dev/lab/demonstration.ts";
import { until } from "../../dev/lab/until.ts";
import { login } from "../lab/login.ts";
import { type Home, useHome } from "../system/home.ts";
import { type Fault, faults } from "./faults.ts";
import { editBy } from "./owner.ts";

/** A change of a machine, and how it is confirmed. */
interface Change {
  name: string;
  host: string;
  /** Makes the next `pulumi up` rebuild the machine. */
  make(home: Home): Promise<unknown>;
  /** The faults that are tried where the matrix is not asked for as a whole. */
  tried: string[];
}

const made = { server: 0, client: 0 };

const changes: Change[] = [
  {
    name: "server, first set-up",
    host: "kalaw",
    make: (home) => home.stack.run(["destroy", "--yes", "--skip-preview"]),
    tried: [
      "does not evaluate",
      "AllowUsers without nix-ssh",
      "sshd off",
      "power cut on trial",
      "killed when the files are kept",
    ],
  },
  {
    name: "server, other settings",
    host: "kalaw",
    make: (home) => home.set("servers.kalaw.onlyOurKeys", `${++made.server % 2 === 1}`),
    tried: [
      "activation fails half-way",
      "DenyUsers names nix-ssh",
      "only @wheel may use Nix",
      "firewall shuts everybody out",
      "systemd re-executes itself",
      "a pre-switch check refuses the way back",
      "boot loader fails",
      "full disk",
      "read-only file system",
      "somebody's nixos-rebuild at the same time",
      "the owner switches on trial",
    ],
  },
  {
    name: "client, other settings",
    host: "pai",
    make: (home) => home.set("clients.pai.priority", `${++made.client}`),
    tried: [
      "does not build",
      "module not imported",
      "a unit fails",
      "activation fails beside a unit that had failed before",
      "a unit restarts for ever",
      "address changed",
      "reboot on trial",
      "power cut when the profile is set",
      "killed while the files are written",
      "connection dropped in the switch",
    ],
  },
];

/** NIXOS_CACHE_WHOLE_MATRIX: all of it; a word of a fault's name: these, wherever they make sense. */
const { NIXOS_CACHE_WHOLE_MATRIX: asked } = process.env;
const matrix: Record<string, Record<string, string>> = {};

function isTried({ host, tried }: Change, { name, only }: Fault): boolean {
  if (only !== undefined && only !== host) return false;
  if (asked === undefined) return tried.includes(name);
  return asked === "1" || name.includes(asked);
}

afterAll(() => {
  console.table(
    faults.flatMap(({ name }) => (matrix[name] ? [{ fault: name, ...matrix[name] }] : [])),
  );
});

describe.concurrent.each(changes)("$name", (change) => {
  const home = useHome(undefined, { after: "up" });

  beforeAll(async () => {
    await home().set("servers.kalaw.confirmWithin", "10");
    await home().set("clients.pai.confirmWithin", "10");
  });

  test("no fault hurts the machine", async () => {
    const wrong: string[] = [];
    for (const fault of faults.filter((fault) => isTried(change, fault))) {
      const begun = Date.now();
      const words = await suffer(home(), change, fault).catch(async ({ message }) => {
        wrong.push(`${fault.name}: ${message}`);
        console.log(message);
        // For the next one.
        await home()
          .up()
          .catch(() => {});
        return "FAILED";
      });
      const seconds = Math.round((Date.now() - begun) / 1000);
      console.log(`${change.name}: ${fault.name}: ${words} (${seconds} s)`);
      matrix[fault.name] = { ...matrix[fault.name], [change.name]: words };
    }
    expect(wrong).toEqual([]);
  }, 3_600_000);
});

/** One cell of the matrix. @returns in a few words, what became of the machine */
async function suffer(home: Home, { host, make }: Change, fault: Fault): Promise<string> {
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
    const happened = await Promise.allSettled([fault.during?.(home, host)]);
    const { code, stdout, stderr } = await up;
    const said = stdout + stderr;
    for (const { status, ...rest } of happened)
      if (status === "rejected") throw new Error(`${(rest as { reason: Error }).reason}\n${said}`);
    if (fault.afterFirst) await undo();
    const { code: refused, stderr: why } = await login(home.lab, host, "true");
    expect(refused, why).toBe(0);
    if (fault.says === undefined) expect(code, said).toBe(0);
    else tells(host, fault.says, said);
    words = await asAWhole(home, host, before, said);
    if (fault.says === undefined) expect(words, said).not.toBe("as before");
    await fault.holds?.(home, host);
  } finally {
    await undo();
    if (fault.edit !== undefined) await editBy(home, host);
  }
  await home.up();
  await home.stack.run(["preview", "--expect-no-changes"]);
  await fetchPath(home.lab, "pai", await buildNewPath(home.lab, "kalaw"));
  await nothingIsLeft(home, host);
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

/** What a change is about. */
interface State {
  /** What runs, what boots, what the profile is. */
  systems: string;
  /** Our files, and what git knows of them. */
  files: string;
  /** The generations that there are, and how the machine does. */
  rest: string;
}

async function stateOf(home: Home, host: string): Promise<State> {
  const [systems, files, rest] = await Promise.all([
    home.on(
      host,
      "readlink -f /run/current-system /boot/nixos-system /nix/var/nix/profiles/system",
    ),
    home.on(
      host,
      `cd /etc/nixos && find nixos-cache -type f 2>/dev/null | sort | xargs -r sha256sum
       git ls-files --stage nixos-cache && git status --porcelain nixos-cache`,
    ),
    home.on(
      host,
      `readlink /nix/var/nix/profiles/system; ls -d /nix/var/nix/profiles/system-*
       systemctl is-active sshd nix-daemon.socket
       ip -brief address show dev eth0 | cut -d' ' -f1 && systemctl list-units --state=failed --plain --no-legend`,
    ),
  ]);
  return { systems, files, rest };
}

/**
 * The machine is as it was, or as the files want it: no half of it. Where nothing could run any more, the files may
 * wait for the next step.
 */
async function asAWhole(home: Home, host: string, before: State, said: string): Promise<string> {
  const now = await stateOf(home, host);
  const isOpen = (await home.tryOn(host, "test -d /var/lib/nixos-cache/trial")).code === 0;
  const [running, booting, profile] = now.systems.split("\n");
  if (isOpen) {
    expect(booting, said).toBe(running);
    const which =
      now.systems.startsWith(`${running}\n`) && before.systems.startsWith(`${running}\n`);
    return `${which ? "system as before" : "the new system"}, the next step goes back`;
  }
  if (JSON.stringify(now) === JSON.stringify(before)) return "as before";
  expect([booting, profile], said).toEqual([running, running]);
  if (now.files === before.files && now.systems !== before.systems) return "as its owner wants it";
  const { code, stdout } = await home.tryOn(host, followsFiles);
  expect(code, `${stdout}\n${JSON.stringify({ before, now }, null, 1)}\n${said}`).toBe(0);
  return "as wanted";
}

/** The running system was built with our files, and git has them as the program wants it. */
const followsFiles = `cd /etc/nixos/nixos-cache
  for file in default.nix module.nix warm.nix ssh-ng-filter.py server.json client.json; do
    [ ! -e $file ] && [ ! -e /run/current-system/etc/nixos-cache/$file ] || cmp $file /run/current-system/etc/nixos-cache/$file || exit
  done
  ! git status --porcelain . | grep -v '^ A'`;

/** Of a trial, of copies and of what a step works with: also once it was killed. */
async function nothingIsLeft(home: Home, host: string): Promise<void> {
  const left = () =>
    home.on(
      host,
      `ls -dA /var/lib/nixos-cache/trial* /var/lib/nixos-cache/reverted /var/lib/nixos-cache-copy* \\
         /run/nixos-cache-work* /run/nixos-cache/trial* /etc/nixos/nixos-cache/.*.new 2>/dev/null || true`,
    );
  // The unit of the last trial may still be about to end.
  await until(async () => (await left()) === "", {
    seconds: 20,
    otherwise: async () => `left on ${host}: ${await left()}`,
  });
}
