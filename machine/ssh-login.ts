import type { ParsedKey } from "ssh2";
import { PrivateKeyError, parsedPrivateKey } from "./private-key.ts";
import { agentSocketOf } from "./ssh-agent.ts";

/** By what the operator logs in: their private key, or the socket of an SSH agent that holds it. */
export type SshLogin = { key: ParsedKey } | { agent: string };

/**
 * The operator's login, parsed once for any number of connections.
 * @param args.privateKey the whole file (private-key.ts); without it the agent is asked
 * @param args.agentSocket path of the SSH agent's socket
 * @param variable the same, where the operator has not said another
 * @throws Error in words for a person, never with the key in them
 */
export function sshLogin(
  {
    privateKey,
    privateKeyPassword,
    agentSocket,
  }: {
    privateKey?: string | undefined;
    privateKeyPassword?: string | undefined;
    agentSocket?: string | undefined;
  },
  variable: string | undefined = process.env.SSH_AUTH_SOCK,
): SshLogin {
  if (privateKey !== undefined) return { key: parsed(privateKey, privateKeyPassword) };
  const agent = agentSocketOf(agentSocket, variable);
  if (agent === undefined) throw new Error("there is neither a private key nor an SSH agent");
  return { agent };
}

function parsed(privateKey: string, passphrase: string | undefined): ParsedKey {
  try {
    return parsedPrivateKey(privateKey, passphrase);
  } catch (error) {
    const reason = error instanceof PrivateKeyError ? `: ${error.message}` : "";
    throw new Error(`the operator's private key cannot be read${reason}`);
  }
}
