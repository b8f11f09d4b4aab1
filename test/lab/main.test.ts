import { join } from "node:path";
import { execa } from "execa";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Lab } from "../../dev/lab/lab.ts";
import { throwAway, throwawayLab } from "./throwaway-lab.ts";

const main = join(import.meta.dirname, "../../dev/lab/main.ts");
let lab: Lab;

beforeAll(async () => {
  lab = await throwawayLab();
});
afterAll(() => throwAway(lab));

/** What `npm run lab -- ARGS…` runs. */
function run(args: string[], input = "") {
  const env = { NIXOS_CACHE_LAB: lab.folder };
  return execa(process.execPath, [main, ...args], { env, input, reject: false });
}

test("without a lab, commands say how to get one", async () => {
  expect((await run(["status"])).stdout).toMatch(/^kalaw +not made +\S+\npai +not made +\S+$/);
  const { exitCode, stderr } = await run(["exec", "pai", "--", "true"]);
  expect({ exitCode, stderr }).toEqual({
    exitCode: 1,
    stderr: 'pai is not made yet: run "npm run lab -- up"',
  });
});

test("up outlives its terminal; exec passes streams and the exit status through", async () => {
  const { exitCode } = await run(["up"]);
  expect(exitCode).toBe(0);
  const script = 'echo "$1"; cat; echo oh >&2; exit 42';
  const result = await run(["exec", "kalaw", "--", "sh", "-c", script, "sh", "--help"], "input");
  expect(result).toMatchObject({ stdout: "--help\ninput", stderr: "oh", exitCode: 42 });
  expect((await run(["exec", "kalaw", "hostname"])).stdout).toBe("kalaw");
});

test("cut, mend, power-off, power-on and reboot act on the host that they name", async () => {
  const state = async () => (await run(["status"])).stdout.split("\n")[1];
  for (const [command, after] of [
    ["cut", "cut"],
    ["mend", "running"],
    ["power-off", "off"],
    ["power-on", "running"],
    ["reboot", "running"],
  ] as const) {
    const { exitCode, stderr } = await run([command, "pai"]);
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
    expect(await state()).toMatch(new RegExp(`^pai +${after} `));
  }
});

test("an unknown host or command gives the ones there are", async () => {
  const host = await run(["reboot", "pie"]);
  expect(host.exitCode).toBe(1);
  expect(host.stderr).toBe("there is no host pie: the lab has kalaw and pai");
  const command = await run(["poweroff", "pai"]);
  expect(command.exitCode).toBe(1);
  expect(command.stderr).toMatch(/unknown command 'poweroff'[\s\S]*power-off[\s\S]*reboot/);
  const none = await run(["cut"]);
  expect(none.exitCode).toBe(1);
  expect(none.stderr).toContain("missing required argument 'host'");
});

test("down takes all of it away", async () => {
  expect((await run(["down"])).exitCode).toBe(0);
  expect((await run(["status"])).stdout).toMatch(/not made/);
});
