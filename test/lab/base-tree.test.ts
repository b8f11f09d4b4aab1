import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { afterAll, beforeAll, expect, test } from "vitest";
import { until } from "../../dev/lab/until.ts";

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "base-tree-"));
});
afterAll(() => rm(folder, { recursive: true }));

/** Asks for the base tree in a process of its own, with a cache of its own. */
function build(lab: string) {
  const module = join(import.meta.dirname, "../../dev/lab/base-tree.ts");
  const code =
    `import { baseTree } from ${JSON.stringify(module)};` +
    `console.log("tree " + await baseTree("trixie", ${JSON.stringify({ id: lab, folder })}, console.log));`;
  return execa(process.execPath, ["--input-type=module", "--eval", code], {
    env: { NIXOS_CACHE_TOOLS: folder },
    reject: false,
  });
}

/** All that still runs or is mounted for a build. */
async function traces(): Promise<string[]> {
  const mounts = (await readFile("/proc/self/mountinfo", "utf8")).split("\n");
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
  const commands = pids.map((pid) => readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => ""));
  return [...mounts, ...(await Promise.all(commands))].filter((line) => line.includes(folder));
}

test("a build that is killed takes its children along, and leaves nothing in the way", async () => {
  const killed = build("killed");
  for await (const line of killed.iterable())
    if (line.includes("extracting archives")) killed.kill("SIGKILL");
  const isGone = async () => (await traces()).length === 0;
  await until(isGone, { seconds: 10, otherwise: "the build goes on" });
  expect(await readdir(join(folder, "lab"))).toEqual([expect.stringMatching(/^partial-/)]);

  // Two at once: one builds, the other waits for it and finds the same tree.
  const [one, other] = await Promise.all([build("one"), build("other")]);
  const tree = one.stdout.split("\n").at(-1);
  expect(tree).toMatch(/^tree .*\/nixos-[0-9a-f]{16}$/);
  expect(other.stdout.split("\n").at(-1)).toBe(tree);
  const output = one.stdout + other.stdout;
  expect(output.match(/Building a Debian/g)).toHaveLength(1);
  expect(output).toContain("Another lab is building the hosts' base tree; waiting for it");
  expect((await readdir(join(folder, "lab"))).join()).not.toContain("partial-");
});
