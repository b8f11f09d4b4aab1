import { beforeAll, expect, test } from "vitest";
import { buildNewPath } from "../../lab/demonstration.ts";
import { until } from "../../lab/until.ts";
import { useHome } from "./home.ts";

const home = useHome();

/** Store paths that nobody has. */
const unknownPaths = Array.from(
  { length: 10 },
  (_, i) => `/nix/store/${String(i).repeat(32)}-unknown-${i}`,
).join(" ");

beforeAll(() => home().up());

/** Waits until pai fetches a new path of kalaw's; the guard remembers half a minute that it could not. */
async function fetchingResumes(): Promise<void> {
  const path = await buildNewPath(home().lab, "kalaw");
  await until(async () => (await home().tryOn("pai", `nix-store --realise ${path}`)).code === 0, {
    seconds: 60,
    otherwise: "pai does not fetch again",
  });
  expect(await home().on("pai", `nix path-info ${path}`)).toBe(path);
}

test("with the cache off, ten unknown paths cost one attempt to reach it, not ten", async () => {
  await home().lab.powerOff("kalaw");
  const { code, stderr } = await home().tryOn("pai", `nix-store --realise ${unknownPaths}`);
  expect(code).not.toBe(0);
  const lines = (text: RegExp) => stderr.split("\n").filter((line) => text.test(line)).length;
  expect(lines(/nixos-cache: kalaw port 22 is unreachable/)).toBe(1);
  expect(lines(/nixos-cache: kalaw was unreachable \d+ s ago/)).toBeGreaterThanOrEqual(1);
});

test("and builds on pai go on without it", async () => {
  expect(await buildNewPath(home().lab, "pai")).toMatch(/^\/nix\/store\/.*-hello$/);
});

test("once it is back, fetching resumes by itself", async () => {
  await home().lab.powerOn("kalaw");
  await fetchingResumes();
});

test("a cable that is cut and mended", async () => {
  await home().lab.cut("pai");
  expect(await buildNewPath(home().lab, "pai")).toMatch(/-hello$/);
  await home().lab.mend("pai");
  await fetchingResumes();
});

test("an update with a machine off fails with its name, and goes through when it is back", async () => {
  await home().lab.powerOff("pai");
  await home().stack.run(["config", "set", "--path", "nixos-cache:clients.pai.priority", "30"]);
  expect(await home().failingUp()).toMatch(/pai-settings.*failed/);
  await home().lab.powerOn("pai");
  await home().up();
  expect(await home().on("pai", "cat /etc/nix/nix.conf")).toContain(
    "ssh://nix-ssh@kalaw?priority=30",
  );
});
