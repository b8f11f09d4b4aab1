import { createPrivateKey } from "node:crypto";
import ssh, { type ParsedKey } from "ssh2";
import sshpk from "sshpk";

/** Why a private key cannot be used, each in words for a person. */
const reasons = {
  none: "there is no line -----BEGIN … PRIVATE KEY----- with its END",
  indented: "its lines are indented",
  putty: "it is PuTTY's own",
  encryptedPkcs8: "it is encrypted PKCS #8, which Pulumi's command plugin does not read",
  otherType: "its first block is no private key",
  locked: "it has a passphrase",
  open: "it has no passphrase, and one is set",
  passphrase: "its passphrase is another",
  broken: "it is not whole",
} as const;

/** A private key that cannot be used; nothing of it is in the message. */
export class PrivateKeyError extends Error {
  override name = "PrivateKeyError";
  readonly reason: keyof typeof reasons;
  /** What stands after BEGIN, such as `OPENSSH PRIVATE KEY`; empty where there is none. */
  readonly label: string;

  constructor(reason: keyof typeof reasons, label = "") {
    super(reasons[reason]);
    this.reason = reason;
    this.label = label;
  }
}

/**
 * Reads a private key as strictly as the `command` plugin does (Go, x/crypto/ssh), so that a key that we take is not refused
 * in the middle of an update.
 * @param text the whole file: PEM, in OpenSSH's own format, PKCS #8 or those of OpenSSL for RSA, EC and DSA
 * @throws PrivateKeyError
 */
export function parsedPrivateKey(text: string, passphrase?: string): ParsedKey {
  const { label, block, body } = firstBlock(text);
  if (label === "ENCRYPTED PRIVATE KEY") throw new PrivateKeyError("encryptedPkcs8", label);
  if (!/^((OPENSSH|RSA|EC|DSA) )?PRIVATE KEY$/.test(label)) {
    throw new PrivateKeyError("otherType", label);
  }
  const openssh = label.startsWith("OPENSSH");
  const locked = openssh ? hasCipher(body) : /^Proc-Type:.*ENCRYPTED/m.test(body);
  if (locked && passphrase === undefined) throw new PrivateKeyError("locked", label);
  if (!locked && passphrase !== undefined) throw new PrivateKeyError("open", label);
  try {
    const options = passphrase === undefined ? {} : { passphrase };
    const key = openssh
      ? sshpk.parsePrivateKey(block, "ssh-private", options)
      : sshpk.parsePrivateKey(pkcs8(block, passphrase), "pkcs8");
    // ssh2 does not read PKCS #8.
    const parsed = ssh.utils.parseKey(key.toBuffer("openssh"));
    if (!(parsed instanceof Error)) return parsed;
  } catch {
    // The libraries' own words may quote the key.
  }
  throw new PrivateKeyError(locked ? "passphrase" : "broken", label);
}

/** The first block of a PEM file, whatever stands around it. */
function firstBlock(text: string): { label: string; block: string; body: string } {
  const lines = text.replace(/[ \t\r]+$/gm, "");
  const found = /^-----BEGIN ([A-Z0-9 ]+)-----\n(.*?)\n-----END \1-----$/ms.exec(lines);
  if (found !== null) {
    const [block, label = "", body = ""] = found;
    return { label, block: `${block}\n`, body };
  }
  if (/^PuTTY-User-Key-File-/m.test(lines)) throw new PrivateKeyError("putty");
  throw new PrivateKeyError(/^[ \t]+-----BEGIN /m.test(lines) ? "indented" : "none");
}

/** Whether a key in OpenSSH's own format is encrypted: the cipher's name comes first in it (openssh/PROTOCOL.key). */
function hasCipher(body: string): boolean {
  const bytes = Buffer.from(body, "base64");
  const magic = "openssh-key-v1\0".length;
  if (bytes.length < magic + 4) return false;
  const length = bytes.readUInt32BE(magic);
  return bytes.toString("latin1", magic + 4, magic + 4 + length) !== "none";
}

/** By Node, for of a wrong passphrase sshpk throws where nobody can catch it. */
function pkcs8(pem: string, passphrase: string | undefined): string {
  const key = createPrivateKey(passphrase === undefined ? pem : { key: pem, passphrase });
  return key.export({ type: "pkcs8", format: "pem" }).toString();
}
