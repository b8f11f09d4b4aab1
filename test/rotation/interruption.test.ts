import { afterAll, expect, test } from "vitest";
import { buildNewPath } from "../../dev/lab/demonstration.ts";
import { until } from "../../dev/lab/until.ts";
import { toolchain } from "../../dev/tools/toolchain.ts";
import { type Home, useHome } from "../system/home.ts";
import {
  bare,
  identity,
  keysOf,
  refusal,
  signing,
  signingKeysOf,
  storedKeypair,
  trustedBy,
  tryKey,
} from "./keys.ts";
import { type EngineStep, type UpdateInProgress, Updates } from "./update-in-progress.ts";

/** A step that does something on a machine, and by which words of the helper. */
interface Step extends EngineStep {
  /** What the update is about: new keys for all, or another setting of pai's. */
  update: "rotation" | "settings";
  host: string;
  words: string;
}

const steps: Step[] = [
  {
    update: "rotation",
    op: "create-replacement",
    resource: "kalaw-signing",
    host: "kalaw",
    words: "signing",
  },
  {
    update: "rotation",
    op: "update",
    resource: "pai-authorization-kalaw",
    host: "kalaw",
    words: "authorize",
  },
  { update: "rotation", op: "update", resource: "pai-identity", host: "pai", words: "identity" },
  {
    update: "rotation",
    op: "update",
    resource: "pai-access-kalaw",
    host: "kalaw",
    words: "access",
  },
  {
    update: "rotation",
    op: "delete-replaced",
    resource: "kalaw-signing",
    host: "kalaw",
    words: "remove-signing",
  },
  {
    update: "settings",
    op: "update",
    resource: "pai-settings",
    host: "pai",
    words: "settings client",
  },
  // It confirms the settings, which are on trial until then.
  { update: "settings", op: "update", resource: "pai-identity", host: "pai", words: "identity" },
];

const nameOf = ({ update, op, resource }: Step) => `${update}: ${op} ${resource}`;

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
const everywhere = steps.map(nameOf);
const faults: Fault[] = [
  { name: "SIGKILL as it begins", at: [], moment: "begins", inject: kill, undo: nothing },
  { name: "SIGKILL while it runs", at: everywhere, moment: "runs", inject: kill, undo: nothing },
  {
    name: "kalaw off",
    at: ["rotation: update pai-authorization-kalaw"],
    moment: "runs",
    inject: ({ lab }) => lab.powerOff("kalaw"),
    undo: ({ lab }) => lab.powerOn("kalaw"),
  },
  {
    name: "pai off",
    at: ["rotation: update pai-identity", "settings: update pai-settings"],
    moment: "runs",
    inject: ({ lab }) => lab.powerOff("pai"),
    undo: ({ lab }) => lab.powerOn("pai"),
  },
  {
    name: "kalaw cut",
    at: ["rotation: update pai-access-kalaw"],
    moment: "runs",
    inject: ({ lab }) => lab.cut("kalaw"),
    undo: ({ lab }) => lab.mend("kalaw"),
  },
];

/** Half a minute goes by for every machine that is off, so only this runs every fault at every step. */
const wholeMatrix = process.env.NIXOS_CACHE_WHOLE_MATRIX !== undefined;

/** Homes in which faults are tried side by side, for most of the time goes by in waiting. */
const homes = [
  { home: useHome(undefined, { after: "up" }), faults: faults.slice(0, 2) },
  { home: useHome(undefined, { after: "up" }), faults: faults.slice(2, 4) },
  { home: useHome(undefined, { after: "up" }), faults: faults.slice(4) },
].map((each) => ({ ...each, names: each.faults.map(({ name }) => name).join(", ") }));
const matrix: Record<string, Record<string, string>> = {};

afterAll(() => {
  console.table(steps.map(nameOf).map((step) => ({ step, ...matrix[step] })));
});

test.concurrent.each(homes)(
  "at each step: $names",
  async ({ home, faults }) => {
    const updates = await Updates.of(home().lab, await toolchain(() => {}));
    const wrong: string[] = [];
    for (const fault of faults) {
      for (const step of steps) {
        const cell = nameOf(step);
        if (!wholeMatrix && !fault.at.includes(cell)) continue;
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

let updatesSoFar = 1;

/** One cell of the matrix. @returns in a few words, what it took to converge */
async function interrupt(home: Home, updates: Updates, step: Step, fault: Fault): Promise<string> {
  const took: string[] = [];
  await home.on("pai", `cp ${identity} /root/old`);
  const value = `${++updatesSoFar}`;
  await home.set(step.update === "rotation" ? "rotation" : "clients.pai.priority", value);

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
  if (step.update === "rotation") {
    expect(await tryKey(home, "pai", "/root/old")).toContain(refusal);
  } else {
    expect(await home.on("pai", "nix config show substituters")).toContain(`priority=${value}`);
  }
  return took.join(", ");
}

/** Waits until the helper does this step; false if it was quicker than we look. */
async function helperRuns(home: Home, { host, words }: Step): Promise<boolean> {
  const pattern = `[s]teps/main.sh ${words} `;
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

/** As docs/how-to/rotate-keys.md says: `pulumi up`, after `pulumi cancel` where the killed one has left its lock. */
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
  expect(await keysOf(home, "pai")).toEqual([bare(pai.publicKey)]);
  expect(await home.on("kalaw", "wc -l </var/lib/nixos-cache/authorized_keys")).toBe("1");
  expect(await home.on("pai", `cat ${identity}`)).toBe(pai.privateKey.trimEnd());
  expect(await trustedBy(home, "pai")).toEqual([kalaw.publicKey]);
  expect(await signingKeysOf(home)).toEqual([kalaw.name]);
  expect(await home.on("kalaw", `cut -d: -f1 ${signing}/* | sort -u`)).toBe(kalaw.name);
  expect(await pendingOperations(home)).toEqual([]);
  for (const host of ["kalaw", "pai"]) {
    expect(
      await home.on(host, "git -C /etc/nixos status --porcelain | grep -v '^ A' || true"),
    ).toBe("");
    const left = await home.on(
      host,
      `ls -d /run/nixos-cache/work.* /run/nixos-cache/trial-* /run/nixos-cache/check_key \
         /var/lib/nixos-cache/trial* /var/lib/nixos-cache/reverted /var/lib/nixos-cache-copy.* \
         /run/nixos-cache-call.* 2>/dev/null || true`,
    );
    expect(left).toBe("");
  }
}
