import { execa } from "execa";
import { expect, test } from "vitest";
import { checkout } from "../../dev/tools/checkout.ts";

test("where Node does not run TypeScript, the program says which Node it needs", async () => {
  const old = ["--no-experimental-strip-types", "main.mjs"];
  const { failed, stderr } = await execa(process.execPath, old, { cwd: checkout, reject: false });
  expect(failed).toBe(true);
  expect(stderr).toContain(
    `This program needs Node 22.18 or newer, and the node on PATH is ${process.version}: install a newer one.`,
  );
});
