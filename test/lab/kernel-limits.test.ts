import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { raiseKernelLimits } from "../../dev/lab/kernel-limits.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kernel-limits-"));
});
afterAll(() => rm(folder, { recursive: true }));

test("a limit that is too low is raised, and said; others are left alone", async () => {
  const files = { instances: "max_user_instances", watches: "max_user_watches" };
  const path = (file: string) => join(folder, "fs/inotify", file);
  await mkdir(dirname(path(files.instances)), { recursive: true });
  await writeFile(path(files.instances), "128\n");
  await writeFile(path(files.watches), "500000\n");

  const said: string[] = [];
  await raiseKernelLimits((line) => said.push(line), folder);
  expect(said).toEqual([
    "Raised the kernel's limit fs.inotify.max_user_instances from 128 to 2048, until this computer restarts",
  ]);
  expect(await readFile(path(files.instances), "utf8")).toBe("2048\n");
  expect(await readFile(path(files.watches), "utf8")).toBe("500000\n");

  await raiseKernelLimits((line) => said.push(line), folder);
  expect(said).toHaveLength(1);
});

test("a limit that this kernel does not have is passed over", async () => {
  const said: string[] = [];
  await raiseKernelLimits((line) => said.push(line), join(folder, "nothing"));
  expect(said).toEqual([]);
});
