import ssh, { type ParsedKey } from "ssh2";
import sshpk from "sshpk";

/** By what the operator logs in: their private key, or the socket of an SSH agent that holds it. */
export type SshLogin = { key: ParsedKey } | { agent: string };

/**
 * The operator's login, parsed once for any number of connections.
 * @param privateKey the whole file, PEM in any form that sshpk reads; without it the agent is asked
 * @param agentSocket path of the SSH agent's socket
 * @throws Error in words for a person, never with the key in them
 */
export function sshLogin(
  {
    privateKey,
    privateKeyPassword,
  }: { privateKey?: string | undefined; privateKeyPassword?: string | undefined },
  agentSocket: string | undefined = process.env.SSH_AUTH_SOCK,
): SshLogin {
  if (privateKey !== undefined) return { key: parsed(privateKey, privateKeyPassword) };
  if (!agentSocket) throw new Error("there is neither a private key nor an SSH agent");
  return { agent: agentSocket };
}

function parsed(privateKey: string, passphrase: string | undefined): ParsedKey {
  let key: ParsedKey | Error;
  try {
    // ssh2 does not read PKCS #8, which the command plugin and OpenSSH do.
    const options = passphrase === undefined ? {} : { passphrase };
    const plain = sshpk.parsePrivateKey(privateKey, "auto", options).toBuffer("openssh");
    key = ssh.utils.parseKey(plain);
  } catch {
    // The library's own words may quote the key.
    key = new Error();
  }
  if (key instanceof Error) throw new Error("the operator's private key cannot be read");
  return key;
}
