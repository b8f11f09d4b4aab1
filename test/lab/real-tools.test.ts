import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { realTools } from "../../dev/lab/real-tools.ts";
import { throwAway, throwawayLab } from "./throwaway-lab.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "real: tools-"));
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true });
});

test("a folder without any of the programs is refused", () => {
  expect(realTools({})).toBeUndefined();
  expect(() => realTools({ NIXOS_CACHE_REAL_TOOLS: folder })).toThrow(
    `NIXOS_CACHE_REAL_TOOLS: there is no switch-to-configuration and no nixos-rebuild in ${folder}.`,
  );
});

test("hosts use what is in the folder from the second switch on, and the stand-in for the rest", async () => {
  const program = join(folder, "switch-to-configuration");
  // What NixOS tells the real program.
  await writeFile(program, '#!/bin/sh\necho "$1 $TOPLEVEL $OUT $DISTRO_ID $SYSTEMD" >&2\nexit 7\n');
  await chmod(program, 0o755);
  vi.stubEnv("NIXOS_CACHE_REAL_TOOLS", folder);
  const lab = await throwawayLab(["kalaw"]);
  try {
    await lab.up(() => {});
    const system = (
      await lab.exec("kalaw", ["readlink", "-f", "/run/current-system"])
    ).stdout.trim();
    expect(system).toMatch(/^\/nix\/store\//);
    const { code, stderr } = await lab.exec("kalaw", ["nixos-rebuild", "test"]);
    expect(code).toBe(7);
    expect(stderr).toContain(`\ntest ${system} ${system} debian /usr\n`);
  } finally {
    await throwAway(lab);
  }
});
