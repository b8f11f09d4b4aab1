import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { checkAgent } from "../../config/agent.ts";
import { useSshAgent } from "../ssh-agent.ts";

const folder = mkdtempSync(join(tmpdir(), "agent-"));
const agent = useSshAgent();
afterAll(() => rmSync(folder, { recursive: true }));

const instead = "run pulumi config set --secret nixos-cache:privateKey < ~/.ssh/id_ed25519";

test("an agent that holds no keys, until it does", async () => {
  await expect(checkAgent({}, agent.socket)).rejects.toThrow(
    `the SSH agent at ${agent.socket} (SSH_AUTH_SOCK) holds no keys: run ssh-add, or ${instead}`,
  );
  const key = join(folder, "key");
  execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", key]);
  agent.add(key);
  await checkAgent({}, agent.socket);
});

test("an agent that is not there, or says nothing", async () => {
  const silent = join(folder, "silent");
  const server = createServer().listen(silent);
  await once(server, "listening");
  for (const socket of [silent, join(folder, "nowhere")]) {
    await expect(checkAgent({ agentSocket: socket }, agent.socket, 0.2)).rejects.toThrow(
      `the SSH agent at ${socket} (nixos-cache:agentSocket) does not answer: start it, or ${instead}`,
    );
  }
  server.close();
});

test("with a private key no agent is asked", async () => {
  await checkAgent({ privateKey: "a key" }, join(folder, "nowhere"));
});
