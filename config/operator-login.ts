import sshpk from "sshpk";
import { z } from "zod";
import { ConfigError, namespace } from "./config-error.ts";
import type { StackConfig } from "./stack-config.ts";

/** What the check needs to know beside the settings; by default what Pulumi and the shell say. */
export interface Surroundings {
  /** Full names of the settings that stand encrypted in the stack file. */
  secretSettings: string[];
  /** The SSH agent's socket. */
  agentSocket: string | undefined;
}

/**
 * Checks how the operator logs in, before anything is touched: by the setting `privateKey`, which has to be
 * secret and readable, or else by the SSH agent, which has to be there.
 * @throws ConfigError
 */
export function checkOperatorLogin(
  { privateKey, privateKeyPassword }: Pick<StackConfig, "privateKey" | "privateKeyPassword">,
  { secretSettings, agentSocket }: Surroundings = surroundings(),
): void {
  if (privateKey === undefined) {
    if (!agentSocket) {
      throw new ConfigError(
        `${namespace}:privateKey is missing and there is no SSH agent (SSH_AUTH_SOCK): ` +
          `start an agent, or run pulumi config set --secret ${namespace}:privateKey < ~/.ssh/id_ed25519`,
      );
    }
    return;
  }
  for (const [setting, value] of Object.entries({ privateKey, privateKeyPassword })) {
    const fullName = `${namespace}:${setting}`;
    if (value !== undefined && !secretSettings.includes(fullName)) {
      throw new ConfigError(
        `${fullName} is not encrypted: run pulumi config set --secret ${fullName}${
          setting === "privateKey" ? " < ~/.ssh/id_ed25519" : ""
        }`,
      );
    }
  }
  try {
    sshpk.parsePrivateKey(
      privateKey,
      "auto",
      privateKeyPassword === undefined ? {} : { passphrase: privateKeyPassword },
    );
  } catch (error) {
    // The library's own words may quote the key.
    throw new ConfigError(
      error instanceof sshpk.KeyEncryptedError
        ? `${namespace}:privateKey has a passphrase: run pulumi config set --secret ${namespace}:privateKeyPassword`
        : `${namespace}:privateKey is no private key that can be read${
            privateKeyPassword === undefined ? "" : " with this privateKeyPassword"
          }: write the whole file, from -----BEGIN to -----END`,
    );
  }
}

/** The names of secret settings reach the program in this variable, as a JSON list (Pulumi's Node SDK, runtime/config). */
function surroundings(): Surroundings {
  return {
    secretSettings: z
      .array(z.string())
      .parse(JSON.parse(process.env.PULUMI_CONFIG_SECRET_KEYS || "[]")),
    agentSocket: process.env.SSH_AUTH_SOCK,
  };
}
