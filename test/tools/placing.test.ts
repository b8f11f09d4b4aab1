import { existsSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { checkout } from "../../dev/tools/checkout.ts";
import { place } from "../../dev/tools/placing.ts";

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "placing-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** Another process that places `tool`; it writes half of it, then the rest when `go` exists. */
function builder() {
  const program = `
    import { existsSync, appendFileSync, writeFileSync } from "node:fs";
    import { place } from ${JSON.stringify(join(checkout, "dev", "tools", "placing.ts"))};
    const target = "tool";
    await place(target, "tool", console.log, () => existsSync(target), async (unfinished) => {
      writeFileSync(unfinished + "/half", "");
      appendFileSync("builds", "x");
      while (!existsSync("go")) await new Promise((done) => setTimeout(done, 20));
      writeFileSync(unfinished + "/whole", "");
    });`;
  return execa(process.execPath, ["--input-type=module", "-e", program], {
    cwd: folder,
    reject: false,
    all: true,
  });
}
const started = () =>
  vi.waitFor(() => expect(existsSync(join(folder, "builds"))).toBe(true), { timeout: 10_000 });

test("two processes at once build once", async () => {
  const first = builder();
  await started();
  const second = builder();
  let said = "";
  second.all.on("data", (text) => {
    said += text;
  });
  await vi.waitFor(() => expect(said).toContain("tool: waiting for another run"), 10_000);
  expect(existsSync(join(folder, "tool"))).toBe(false);
  await writeFile(join(folder, "go"), "");
  expect([(await first).exitCode, (await second).exitCode]).toEqual([0, 0]);
  expect(await readFile(join(folder, "builds"), "utf8")).toBe("x");
  expect((await readdir(folder)).sort()).toEqual(["builds", "go", "tool"]);
});

test("a killed build leaves no half tool, and the next one starts afresh", async () => {
  const first = builder();
  await started();
  first.kill("SIGKILL");
  await first;
  expect(existsSync(join(folder, "tool"))).toBe(false);
  await utimes(join(folder, ".tool.lock"), 0, 0); // as if it had died long ago
  await writeFile(join(folder, "go"), "");
  expect((await builder()).exitCode).toBe(0);
  expect((await readdir(join(folder, "tool"))).sort()).toEqual(["half", "whole"]);
  expect((await readdir(folder)).sort()).toEqual(["builds", "go", "tool"]);
});

test("a failed build leaves nothing behind", async () => {
  const target = join(folder, "tool");
  const build = async (unfinished: string) => {
    await writeFile(join(unfinished, "half"), "");
    throw new Error("out of cheese");
  };
  const placed = place(
    target,
    "tool",
    () => undefined,
    () => existsSync(target),
    build,
  );
  await expect(placed).rejects.toThrow("out of cheese");
  expect(await readdir(folder)).toEqual([]);
});
