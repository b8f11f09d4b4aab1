import { z } from "zod";
import { PrivateKeyError, parsedPrivateKey } from "../machine/private-key.ts";
import { agentSocketOf } from "../machine/ssh-agent.ts";
import { ConfigError, namespace } from "./config-error.ts";
import type { StackConfig } from "./stack-config.ts";

/** What the check needs to know beside the settings; by default what Pulumi and the shell say. */
export interface Surroundings {
  /** Full names of the settings that stand encrypted in the stack file. */
  secretSettings: string[];
  /** The SSH agent's socket as the shell has it. */
  agentVariable: string | undefined;
}

/**
 * Checks how the operator logs in, before anything is touched: by the setting `privateKey`, which has to be
 * secret and readable, or else by the SSH agent, which has to be there.
 * @throws ConfigError
 */
export function checkOperatorLogin(
  {
    privateKey,
    privateKeyPassword,
    agentSocket,
  }: Pick<StackConfig, "privateKey" | "privateKeyPassword" | "agentSocket">,
  { secretSettings, agentVariable }: Surroundings = surroundings(),
): void {
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
  if (privateKey === undefined) {
    if (privateKeyPassword !== undefined) {
      throw new ConfigError(
        `${namespace}:privateKeyPassword is for privateKey, which is missing: run pulumi config rm ${namespace}:privateKeyPassword`,
      );
    }
    if (agentSocketOf(agentSocket, agentVariable) === undefined) {
      throw new ConfigError(
        `${namespace}:privateKey is missing and there is no SSH agent (SSH_AUTH_SOCK): ` +
          `start an agent, or run pulumi config set --secret ${namespace}:privateKey < ~/.ssh/id_ed25519`,
      );
    }
    return;
  }
  if (agentSocket !== undefined) {
    throw new ConfigError(
      `${namespace}:agentSocket is for a login by an SSH agent, and privateKey is set: take one of them out`,
    );
  }
  try {
    parsedPrivateKey(privateKey, privateKeyPassword);
  } catch (error) {
    if (error instanceof PrivateKeyError) throw new ConfigError(complaint(error));
    throw error;
  }
}

function complaint({ reason }: PrivateKeyError): string {
  const key = `${namespace}:privateKey`;
  const password = `${namespace}:privateKeyPassword`;
  switch (reason) {
    case "locked":
      return `${key} has a passphrase: run pulumi config set --secret ${password}`;
    case "passphrase":
      return `${password} does not open privateKey: run pulumi config set --secret ${password}`;
    case "open":
      return `${password} is set, but privateKey has no passphrase: run pulumi config rm ${password}`;
    case "indented":
      return `${key} is indented: write the file as it is, with -----BEGIN at the start of its line`;
    case "putty":
      return `${key} is a key of PuTTY: write what puttygen FILE -O private-openssh -o NEW has written to NEW`;
    case "encryptedPkcs8":
      return `${key} is encrypted PKCS #8, which Pulumi does not read: run ssh-keygen -p -f on a copy of the file, and write the copy`;
    default:
      return `${key} is no private key that can be read: write the whole file, from -----BEGIN to -----END`;
  }
}

/** The names of secret settings reach the program in this variable, as a JSON list (Pulumi's Node SDK, runtime/config). */
function surroundings(): Surroundings {
  return {
    secretSettings: z
      .array(z.string())
      .parse(JSON.parse(process.env.PULUMI_CONFIG_SECRET_KEYS || "[]")),
    agentVariable: process.env.SSH_AUTH_SOCK,
  };
}
