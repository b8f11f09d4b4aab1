import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test, vi } from "vitest";
import { ByHand } from "../../dev/bench/peers/by-hand.ts";
import type { Lab } from "../../dev/lab/lab.ts";
import { LabStack } from "../../dev/lab/stack.ts";
import type { Toolchain } from "../../dev/tools/toolchain.ts";

test("a passphrase of the caller's own stack is not that of the lab's or the bench's", async () => {
  const folder = mkdtempSync(join(tmpdir(), "lab-stack-"));
  onTestFinished(() => {
    vi.unstubAllEnvs();
    rmSync(folder, { recursive: true });
  });
  // In place of Pulumi, which takes this one first.
  writeFileSync(
    join(folder, "pulumi"),
    "#!/bin/sh\nenv\n! env | grep -q ^PULUMI_CONFIG_PASSPHRASE=\n",
  );
  chmodSync(join(folder, "pulumi"), 0o755);
  for (const name of ["stack", "by-hand"]) mkdirSync(join(folder, name));
  vi.stubEnv("PULUMI_CONFIG_PASSPHRASE", "another");
  const lab = { folder, enter: ["env"], hosts: ["kalaw"] } as unknown as Lab;
  const tools = { env: { PATH: `${folder}:${process.env.PATH}` } } as unknown as Toolchain;

  const { stdout } = await new LabStack(lab, tools).run(["up"]);
  expect(stdout).toMatch(/^PULUMI_CONFIG_PASSPHRASE_FILE=.*stack\/passphrase$/m);
  await new ByHand(lab, tools).deploy();
});
