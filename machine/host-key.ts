import sshpk from "sshpk";

/** What to write as a host key. */
export const whereHostKeys =
  "write the line of /etc/ssh/ssh_host_ed25519_key.pub on that machine, ssh-ed25519 AAAA…";

/** `type base64 comment`; the comment may be left out, and has no control or format characters. */
const line =
  /^(?:ssh-ed25519|ecdsa-sha2-nistp(?:256|384|521)) +([A-Za-z0-9+/]+={0,2})(?: [^\p{Cc}\p{Cf}]*)?$/u;

/**
 * What is wrong with a value as a machine's SSH host key; nothing of an ed25519 or ECDSA public key in one line.
 *
 * Strict: the same key is never written in two ways, so that two names of one machine are noticed.
 */
export function complaintAboutHostKey(value: unknown): string | undefined {
  if (value === undefined || value === null) return "is missing";
  if (typeof value !== "string") return "is no text";
  const text = value.trim();
  if (text.includes("\n")) return "has more than one line";
  if (/^(ssh-rsa|rsa-sha2-(256|512))\s/.test(text)) {
    return "is an RSA key, which never matches a modern sshd's";
  }
  const base64 = line.exec(text)?.[1];
  return base64 !== undefined && isWholeKey(bareHostKey(text), base64)
    ? undefined
    : "is no SSH public key";
}

/**
 * The host key as it was given.
 *
 * For everything that dials: without a host key, which an Output may turn out to lack, the `command` plugin and ssh2
 * would take whoever answers for the machine, and hand them its private keys.
 * @throws Error in words for a person
 */
export function checkedHostKey(value: unknown): string {
  const complaint = complaintAboutHostKey(value);
  if (complaint !== undefined) throw new Error(`connection.hostKey ${complaint}: ${whereHostKeys}`);
  return String(value);
}

/** A host key as `type base64`: without its comment, which neither known_hosts nor we have a use for. */
export function bareHostKey(hostKey: string): string {
  return hostKey.trim().split(/\s+/).slice(0, 2).join(" ");
}

/** Whether the base64 is that of a key and of nothing else; parsers pass over what follows a key, and over wrong padding. */
function isWholeKey(bare: string, base64: string): boolean {
  const blob = Buffer.from(base64, "base64");
  if (blob.toString("base64") !== base64) return false;
  try {
    return sshpk.parseKey(bare, "ssh").toBuffer("rfc4253").equals(blob);
  } catch {
    return false;
  }
}
