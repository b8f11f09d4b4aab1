import { connect } from "node:net";
import ssh, { type AuthenticationType, type ParsedKey } from "ssh2";
import { PrivateKeyError, parsedPrivateKey } from "../../machine/private-key.ts";
import type { Endpoint } from "./inputs.ts";

/** An endpoint's credentials and expected host key, parsed before anything is dialled. */
export interface Login {
  user: string;
  key?: ParsedKey;
  password?: string;
  agent?: string;
  hostKey?: { type: string; blob: Buffer };
}

/** Throws at once, no retries, on a key that cannot be parsed or an agent that does not answer. */
export async function login(to: Endpoint): Promise<Login> {
  const parsed: Login = { user: to.user };
  if (to.hostKey !== undefined) parsed.hostKey = parseHostKey(to.hostKey);
  if (to.privateKey !== undefined) {
    parsed.key = parsePrivateKey(to.privateKey, to.privateKeyPassword);
  }
  if (to.password !== undefined) parsed.password = to.password;
  const agent = to.agentSocketPath ?? process.env.SSH_AUTH_SOCK;
  if (to.agentSocketPath !== undefined || agent) {
    parsed.agent = agent ?? "";
    // Also where the agent is not needed: a dead SSH_AUTH_SOCK fails the official plugin as well.
    await reach(parsed.agent);
  }
  return parsed;
}

/** The methods in the official order; one method is tried once, so a private key rules out the agent. */
export function methods(to: Login): AuthenticationType[] {
  const known: AuthenticationType[] = [];
  if (to.key) known.push("publickey");
  if (to.password !== undefined) known.push("password", "keyboard-interactive");
  if (to.agent !== undefined && !to.key) known.push("agent");
  return known;
}

function parsePrivateKey(text: string, passphrase: string | undefined): ParsedKey {
  try {
    return parsedPrivateKey(text, passphrase);
  } catch (error) {
    if (error instanceof PrivateKeyError) {
      throw new Error(inWordsOfGo(error, passphrase !== undefined), { cause: error });
    }
    throw error;
  }
}

/** As x/crypto/ssh has it, in which the official plugin parses keys. */
function inWordsOfGo({ reason, label }: PrivateKeyError, withPassphrase: boolean): string {
  switch (reason) {
    case "locked":
      return "ssh: this private key is passphrase protected";
    case "passphrase":
      return "x509: decryption password incorrect";
    case "open":
      return label.startsWith("OPENSSH")
        ? "ssh: key is not password protected"
        : "ssh: not an encrypted key";
    case "encryptedPkcs8":
    case "otherType":
      // With a passphrase, another of its functions looks at the key.
      return withPassphrase ? "ssh: not an encrypted key" : `ssh: unsupported key type "${label}"`;
    default:
      return "ssh: no key found";
  }
}

/** Takes `type base64`, with one word of options or a host name before it, on any line. */
function parseHostKey(text: string): { type: string; blob: Buffer } {
  for (const line of text.split("\n")) {
    const words = line.trim().split(/[ \t]+/);
    if (words[0]?.startsWith("#")) continue;
    for (const [type, base64] of [words.slice(0, 2), words.slice(1, 3)]) {
      const key = type && base64 ? ssh.utils.parseKey(`${type} ${base64}`) : undefined;
      if (key && !(key instanceof Error) && !Array.isArray(key)) {
        return { type: key.type, blob: key.getPublicSSH() };
      }
    }
  }
  throw new Error("failed to parse host key: ssh: no key found");
}

function reach(path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(path, () => {
      socket.destroy();
      resolve();
    });
    socket.on("error", (error: NodeJS.ErrnoException) => {
      const reason = error.code === "ENOENT" ? "no such file or directory" : "connection refused";
      reject(new Error(`dial unix ${path}: connect: ${reason}`, { cause: error }));
    });
  });
}
