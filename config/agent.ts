import { agentSocketOf, keysOfAgent } from "../machine/ssh-agent.ts";
import { ConfigError, namespace } from "./config-error.ts";
import type { StackConfig } from "./stack-config.ts";

/**
 * Checks that an SSH agent can help, where the operator logs in by one: before anything is touched, for the command plugin
 * would say of each machine only that it was not let in.
 * @param variable the agent's socket as the shell has it
 * @param seconds until it has to have answered
 * @throws ConfigError
 */
export async function checkAgent(
  { privateKey, agentSocket }: Pick<StackConfig, "privateKey" | "agentSocket">,
  variable = process.env.SSH_AUTH_SOCK,
  seconds = 5,
): Promise<void> {
  const socket = agentSocketOf(agentSocket, variable);
  if (privateKey !== undefined || socket === undefined) return;
  const named = agentSocket === undefined ? "SSH_AUTH_SOCK" : `${namespace}:agentSocket`;
  const instead = `run pulumi config set --secret ${namespace}:privateKey < ~/.ssh/id_ed25519`;
  const keys = await keysOfAgent(socket, seconds);
  if (keys === undefined) {
    throw new ConfigError(
      `the SSH agent at ${socket} (${named}) does not answer: start it, or ${instead}`,
    );
  }
  if (keys === 0) {
    throw new ConfigError(
      `the SSH agent at ${socket} (${named}) holds no keys: run ssh-add, or ${instead}`,
    );
  }
}
