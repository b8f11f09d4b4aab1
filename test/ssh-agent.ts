import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll } from "vitest";

/** Starts an SSH agent for the tests of this file, and stops it after them. At first it holds no keys. */
export function useSshAgent(): { socket: string; add(keyFile: string): void } {
  const folder = mkdtempSync(join(tmpdir(), "agent-"));
  const socket = join(folder, "agent");
  const daemon = spawn("ssh-agent", ["-D", "-a", socket], { stdio: ["ignore", "pipe", "ignore"] });
  beforeAll(() => once(daemon.stdout, "data"));
  afterAll(async () => {
    daemon.kill();
    await once(daemon, "exit");
    rmSync(folder, { recursive: true });
  });
  return {
    socket,
    add(keyFile) {
      execFileSync("ssh-add", ["-q", keyFile], { env: { ...process.env, SSH_AUTH_SOCK: socket } });
    },
  };
}
