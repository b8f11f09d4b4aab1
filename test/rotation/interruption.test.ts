import { afterAll, beforeAll, expect, test } from "vitest";
import { buildNewPath } from "../../dev/lab/demonstration.ts";
import { until } from "../../dev/lab/until.ts";
import { toolchain } from "../../dev/tools/toolchain.ts";
import { type Home, useHome } from "../system/home.ts";
import { keysOf, storedKeypair, tryKey } from "./keys.ts";
import { type EngineStep, type UpdateInProgress, Updates } from "./update-in-progress.ts";

/** The steps of a rotation of all keys that do something on a machine, and by which words of the helper. */
const steps: (EngineStep & { host: string; words: string })[] = [
  { op: "create-replacement", resource: "kalaw-signing", host: "kalaw", words: "signing-key" },
  { op: "update", resource: "pai-authorization-kalaw", host: "kalaw", words: "authorize" },
  { op: "update", resource: "pai-identity", host: "pai", words: "identity" },
  { op: "update", resource: "pai-settings", host: "pai", words: "settings client" },
  { op: "update", resource: "pai-confirm", host: "pai", words: "confirm client" },
  { op: "update", resource: "pai-access-kalaw", host: "kalaw", words: "in-use" },
  {
    op: "delete-replaced",
    resource: "kalaw-signing",
    host: "kalaw",
    words: "remove-signing-key",
  },
];

interface Fault {
  name: string;
  /** The steps at which it is tried where the matrix is not asked for as a whole. */
  at: string[];
  /** When the engine begins the step, or when its helper is at work on the machine. */
  moment: "begins" | "runs";
  inject(home: Home, update: UpdateInProgress): Promise<void>;
  undo(home: Home): Promise<void>;
}

const nothing = async () => {};
const kill = (_: Home, update: UpdateInProgress) => update.kill();
const everywhere = steps.map(({ resource }) => resource);
const faults: Fault[] = [
  { name: "SIGKILL as it begins", at: [], moment: "begins", inject: kill, undo: nothing },
  { name: "SIGKILL while it runs", at: everywhere, moment: "runs", inject: kill, undo: nothing },
  {
    name: "kalaw off",
    at: ["pai-authorization-kalaw"],
    moment: "runs",
    inject: ({ lab }) => lab.powerOff("kalaw"),
    undo: ({ lab }) => lab.powerOn("kalaw"),
  },
  {
    name: "pai off",
    at: ["pai-identity"],
    moment: "runs",
    inject: ({ lab }) => lab.powerOff("pai"),
    undo: ({ lab }) => lab.powerOn("pai"),
  },
  {
    name: "kalaw cut",
    at: ["pai-access-kalaw"],
    moment: "runs",
    inject: ({ lab }) => lab.cut("kalaw"),
    undo: ({ lab }) => lab.mend("kalaw"),
  },
];

/** Half a minute goes by for every machine that is off, so only this runs every fault at every step. */
const wholeMatrix = process.env.NIXOS_CACHE_WHOLE_MATRIX !== undefined;

/** Homes in which faults are tried side by side, for most of the time goes by in waiting. */
const homes = [
  { home: useHome(), faults: faults.slice(0, 2) },
  { home: useHome(), faults: faults.slice(2, 4) },
  { home: useHome(), faults: faults.slice(4) },
].map((each) => ({ ...each, names: each.faults.map(({ name }) => name).join(", ") }));
const matrix: Record<string, Record<string, string>> = {};

beforeAll(async () => {
  for (const { home } of homes) await home().up();
});

afterAll(() => {
  const table = steps.map(({ op, resource }) => {
    const step = `${op} ${resource}`;
    return { step, ...matrix[step] };
  });
  console.table(table);
});

test.concurrent.each(homes)(
  "at each step of a rotation: $names",
  async ({ home, faults }) => {
    const updates = await Updates.of(home().lab, await toolchain(() => {}));
    const wrong: string[] = [];
    for (const fault of faults) {
      for (const step of steps) {
        if (!wholeMatrix && !fault.at.includes(step.resource)) continue;
        const cell = `${step.op} ${step.resource}`;
        const words = await interrupt(home(), updates, step, fault).catch(({ message }) => {
          wrong.push(`${fault.name}, ${cell}: ${message}`);
          return "FAILED";
        });
        matrix[cell] = { ...matrix[cell], [fault.name]: words };
      }
    }
    expect(wrong).toEqual([]);
  },
  1_800_000,
);

let rotations = 1;

/** One cell of the matrix. @returns in a few words, what it took to converge */
async function interrupt(
  home: Home,
  updates: Updates,
  step: (typeof steps)[number],
  fault: Fault,
): Promise<string> {
  const took: string[] = [];
  await home.on("pai", "cp /var/lib/nixos-cache/ssh/identity /root/old");
  await home.set("rotation", `${++rotations}`);

  const update = await updates.start();
  await update.begins(step);
  if (fault.moment === "runs" && !(await helperRuns(home, step))) took.push("after it");
  const injected = Date.now();
  await fault.inject(home, update);
  // A machine that is off costs half a minute; a connection that is cut in the middle 150 s (TCP keepalive).
  if (!(await update.endsWithin(200))) {
    took.push("hangs, killed");
    await update.kill();
  }
  const { code, stdout, stderr } = await update.outcome;
  const seconds = Math.round((Date.now() - injected) / 1000);
  took.push(code === 0 ? "goes through" : code > 128 ? "killed" : `fails after ${seconds} s`);
  await fault.undo(home);

  await fetchesNow(home, `right after it (it said: ${stdout}${stderr})`);
  took.push(await nextUp(home));
  if ((await pendingOperations(home)).length > 0) {
    took.push("refresh");
    await home.stack.run(["refresh", "--yes", "--skip-preview", "--clear-pending-creates"]);
  }
  await check(home);
  return took.join(", ");
}

/** Waits until the helper does this step; false if it was quicker than we look. */
async function helperRuns(home: Home, { host, words }: (typeof steps)[number]): Promise<boolean> {
  const pattern = `[n]ixos-cache/agent ${words}`;
  const { code } = await home.tryOn(
    host,
    `for try in $(seq 400); do if pgrep -f '${pattern}'; then exit 0; fi; done; exit 1`,
  );
  return code === 0;
}

/** pai is never left with a key that kalaw refuses, nor with a path that it does not trust. */
async function fetchesNow(home: Home, when: string): Promise<void> {
  const path = await buildNewPath(home.lab, "kalaw");
  let said = "";
  await until(
    async () => {
      const { code, stderr } = await home.tryOn("pai", `nix-store --realise ${path}`);
      said = stderr;
      // The guard may remember for half a minute that kalaw was away: that is no refusal.
      if (code !== 0 && !/unreachable/.test(stderr)) {
        throw new Error(`pai does not fetch ${when}: ${stderr}`);
      }
      return code === 0;
    },
    { seconds: 60, otherwise: () => `pai does not fetch ${when}: ${said}` },
  );
}

/** As the README says: `pulumi up`, after `pulumi cancel` where the killed one has left its lock. */
async function nextUp(home: Home): Promise<string> {
  const { code, stdout, stderr } = await home.stack.attempt(["up", "--yes", "--skip-preview"]);
  if (code === 0) return "up";
  if (!/currently locked/.test(stdout + stderr)) throw new Error(`up: ${stdout}${stderr}`);
  await home.stack.run(["cancel", "--yes"]);
  await home.up();
  return "cancel, up";
}

/** What a killed update has left in the state; only warnings are printed of it. */
async function pendingOperations(home: Home): Promise<string[]> {
  const { stdout } = await home.stack.run(["stack", "export"]);
  const { pending_operations: pending = [] } = JSON.parse(stdout).deployment as {
    pending_operations?: { type: string; resource: { urn: string } }[];
  };
  return pending.map(({ type, resource }) => `${type} ${resource.urn.split("::").at(-1)}`);
}

/** The outcome is as if nothing had happened. */
async function check(home: Home): Promise<void> {
  await home.stack.run(["preview", "--expect-no-changes"]);
  await fetchesNow(home, "after the next up");
  const pai = await storedKeypair(home, "pai-key");
  const kalaw = await storedKeypair(home, "kalaw-signing-key");
  expect(await keysOf(home, "pai")).toEqual([pai.publicKey]);
  expect(await home.on("kalaw", "cat /etc/nixos/nixos-cache/authorized/*")).toBe(pai.publicKey);
  expect(await home.on("pai", "ls -A /var/lib/nixos-cache/ssh")).toBe("identity");
  expect(await home.on("pai", "cat /var/lib/nixos-cache/ssh/identity")).toBe(
    pai.privateKey.trimEnd(),
  );
  expect(await home.on("kalaw", "ls -A /var/lib/nixos-cache/signing")).toBe("0\n1\n2\n3");
  expect(await home.on("kalaw", "cut -d: -f1 /var/lib/nixos-cache/signing/* | sort -u")).toBe(
    kalaw.name,
  );
  expect(await tryKey(home, "pai", "/root/old")).toContain("Permission denied (publickey");
  expect(await pendingOperations(home)).toEqual([]);
  for (const host of ["kalaw", "pai"]) {
    expect(
      await home.on(host, "git -C /etc/nixos status --porcelain | grep -v '^ A' || true"),
    ).toBe("");
    expect(await home.on(host, "ls -d /run/nixos-cache.* 2>&1 | wc -l")).toBe("1");
  }
}
