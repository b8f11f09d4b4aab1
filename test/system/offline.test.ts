import { afterAll, expect, test } from "vitest";
import { buildNewPath } from "../../dev/lab/demonstration.ts";
import { until } from "../../dev/lab/until.ts";
import { ownProtocol } from "../own-protocol.ts";
import { useHome } from "./home.ts";

const home = useHome(undefined, { after: "up" });

/** Store paths that nobody has. */
const unknownPaths = Array.from(
  { length: 50 },
  (_, i) => `/nix/store/${String(i).padStart(32, "0")}-unknown`,
).join(" ");

// On a machine of one's own, dev/bench/offline.ts; here others work too, so the bounds are wide.
afterAll(() => console.table(figures));
const figures: Record<string, string> = {};

/** Notes how long it takes. @returns seconds */
async function measure(what: string, work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  const seconds = (performance.now() - start) / 1000;
  figures[what] = `${seconds.toFixed(1)} s`;
  return seconds;
}

/** Waits until pai fetches a new path of kalaw's; the guard remembers half a minute that it could not. */
async function fetchingResumes(): Promise<void> {
  const path = await buildNewPath(home().lab, "kalaw");
  await until(async () => (await home().tryOn("pai", `nix-store --realise ${path}`)).code === 0, {
    seconds: 60,
    otherwise: "pai does not fetch again",
  });
  expect(await home().on("pai", `nix path-info ${path}`)).toBe(path);
}

test("with the cache off, 50 unknown paths cost one attempt to reach it, not 50", async () => {
  await home().lab.powerOff("kalaw");
  let stderr = "";
  const seconds = await measure("50 unknown paths with the cache off", async () => {
    const outcome = await home().tryOn("pai", `nix-store --realise ${unknownPaths}`);
    expect(outcome.code).not.toBe(0);
    stderr = outcome.stderr;
  });
  const lines = (text: RegExp) => stderr.split("\n").filter((line) => text.test(line)).length;
  expect(lines(/nixos-cache: kalaw port 22 is unreachable/)).toBe(1);
  expect(lines(/nixos-cache: kalaw was unreachable \d+ s ago/)).toBeGreaterThanOrEqual(1);
  expect(seconds).toBeLessThan(20);
});

test("and builds on pai go on without it", async () => {
  expect(await buildNewPath(home().lab, "pai")).toMatch(/^\/nix\/store\/.*-hello$/);
});

test("once it is back, fetching resumes by itself", async () => {
  await home().lab.powerOn("kalaw");
  await measure("fetching again, once the cache is back", fetchingResumes);
});

test("a cable that is cut and mended", async () => {
  await home().lab.cut("pai");
  expect(await buildNewPath(home().lab, "pai")).toMatch(/-hello$/);
  await home().lab.mend("pai");
  await measure("fetching again, once the cable is mended", fetchingResumes);
});

test("an update with a machine off fails with its name, and goes through when it is back", async () => {
  await home().lab.powerOff("pai");
  await home().set("clients.pai.priority", "30");
  expect(await home().failingUp()).toMatch(/pai-settings.*failed/);
  await home().lab.powerOn("pai");
  await home().up();
  expect(await home().on("pai", "cat /etc/nix/nix.conf")).toContain(
    `${ownProtocol}://nix-ssh@kalaw?priority=30`,
  );
});
