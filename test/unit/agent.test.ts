import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { checkAgent } from "../../config/agent.ts";

const folder = mkdtempSync(join(tmpdir(), "agent-"));
const agent = join(folder, "agent");
const daemon = spawn("ssh-agent", ["-D", "-a", agent], { stdio: ["ignore", "pipe", "ignore"] });
beforeAll(() => once(daemon.stdout, "data"));
afterAll(async () => {
  daemon.kill();
  await once(daemon, "exit");
  rmSync(folder, { recursive: true });
});

const instead = "run pulumi config set --secret nixos-cache:privateKey < ~/.ssh/id_ed25519";

test("an agent that holds no keys, until it does", async () => {
  await expect(checkAgent({}, agent)).rejects.toThrow(
    `the SSH agent at ${agent} (SSH_AUTH_SOCK) holds no keys: run ssh-add, or ${instead}`,
  );
  const key = join(folder, "key");
  execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", key]);
  execFileSync("ssh-add", ["-q", key], { env: { ...process.env, SSH_AUTH_SOCK: agent } });
  await checkAgent({}, agent);
});

test("an agent that is not there, or says nothing", async () => {
  const silent = join(folder, "silent");
  const server = createServer().listen(silent);
  await once(server, "listening");
  for (const socket of [silent, join(folder, "nowhere")]) {
    await expect(checkAgent({ agentSocket: socket }, agent, 0.2)).rejects.toThrow(
      `the SSH agent at ${socket} (nixos-cache:agentSocket) does not answer: start it, or ${instead}`,
    );
  }
  server.close();
});

test("with a private key no agent is asked", async () => {
  await checkAgent({ privateKey: "a key" }, join(folder, "nowhere"));
});
