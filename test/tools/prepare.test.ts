import { copyFile, mkdir, mkdtemp, readdir, rm, stat, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { checkout } from "../../dev/tools/checkout.ts";

let copy: string;

beforeEach(async () => {
  copy = await mkdtemp(join(tmpdir(), "prepare-"));
  await mkdir(join(copy, "dev", "tools"), { recursive: true });
  await copyFile(
    join(checkout, "dev", "tools", "prepare.mjs"),
    join(copy, "dev", "tools", "prepare.mjs"),
  );
  const root = { name: "nothing", version: "1.0.0" };
  await writeFile(join(copy, "package.json"), JSON.stringify(root));
  const lock = { ...root, lockfileVersion: 3, requires: true, packages: { "": root } };
  await writeFile(join(copy, "package-lock.json"), JSON.stringify(lock));
});
afterEach(() => rm(copy, { recursive: true, force: true }));

function prepare(env: NodeJS.ProcessEnv = {}) {
  return execa(process.execPath, ["dev/tools/prepare.mjs"], {
    cwd: copy,
    env: { npm_execpath: undefined, ...env },
    all: true,
    reject: false,
  });
}

test("installs once, then is silent and touches nothing", async () => {
  const first = await prepare();
  expect(first.exitCode, first.all).toBe(0);
  expect(first.all).toContain("Installing npm packages");
  const stamp = join(copy, "node_modules", ".prepared");
  const written = (await stat(stamp)).mtimeMs;
  const second = await prepare();
  expect([second.exitCode, second.all]).toEqual([0, ""]);
  expect((await stat(stamp)).mtimeMs).toBe(written);
  const node = await execa(join(copy, "node_modules", ".bin", "node"), ["-p", "1 + 1"]);
  expect(node.stdout).toBe("2");
});

test("installs again when the lock file changes", async () => {
  await prepare();
  await writeFile(join(copy, "package.json"), '{ "name": "nothing", "version": "1.0.1" }');
  expect((await prepare()).all).toContain("Installing npm packages");
});

test("the checkout's own lock file is whole: npm ci takes it", async () => {
  await mkdir(join(copy, "dev", "tools", "node"));
  for (const file of [
    "package.json",
    "package-lock.json",
    ".npmrc",
    "dev/tools/node/package.json",
  ]) {
    await copyFile(join(checkout, file), join(copy, file));
  }
  // Offline with nothing in its cache, npm has the lock file alone to go by.
  const cache = join(copy, "cache");
  const args = ["--dry-run", "--offline", "--ignore-scripts", "--cache", cache];
  const ci = await execa("npm", ["ci", ...args], { cwd: copy, all: true, reject: false });
  expect(ci.exitCode, ci.all).toBe(0);
});

test("two at once install once", async () => {
  const runs = await Promise.all([prepare(), prepare()]);
  expect(runs.map((run) => run.exitCode)).toEqual([0, 0]);
  const installed = runs.filter((run) => run.all.includes("Installing npm packages"));
  expect(installed).toHaveLength(1);
  expect(await readdir(copy)).not.toContain(".prepare-lock");
});

test("a killed run counts for nothing, and its lock is broken", async () => {
  const npm = join(copy, "npm-cli.js");
  await writeFile(
    npm,
    'require("node:fs").writeFileSync("started", ""); setTimeout(() => {}, 30_000);',
  );
  const run = prepare({ npm_execpath: npm });
  await vi.waitFor(() => stat(join(copy, "started")), { timeout: 10_000 });
  run.kill("SIGKILL");
  await run.catch(() => undefined);
  const lock = join(copy, ".prepare-lock");
  await utimes(lock, 0, 0); // as if it had died long ago
  const next = await prepare();
  expect(next.exitCode, next.all).toBe(0);
  expect(next.all).toContain("Installing npm packages");
  expect(await readdir(copy)).not.toContain(".prepare-lock");
});

test("says that npm is missing", async () => {
  const run = await prepare({ PATH: join(copy, "nowhere") });
  expect([run.exitCode, run.all]).toEqual([
    1,
    "npm is missing: install npm 10 or newer (Debian: apt install npm).",
  ]);
});

test("shows npm's output when it fails, and leaves no stamp", async () => {
  await writeFile(
    join(copy, "npm-cli.js"),
    'console.error("npm error out of cheese"); process.exit(3);',
  );
  const run = await prepare({ npm_execpath: join(copy, "npm-cli.js") });
  expect(run.exitCode).toBe(1);
  expect(run.all).toContain("npm error out of cheese\nnpm install failed (exit 3).");
  await expect(stat(join(copy, "node_modules", ".prepared"))).rejects.toThrow("ENOENT");
});
