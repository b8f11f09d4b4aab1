import { createHash, createPrivateKey } from "node:crypto";
import forge from "node-forge";
import sshpk from "sshpk";

/** An SSH keypair, both halves as the texts that OpenSSH reads. */
export interface SshKeypair {
  /** One line, as in authorized_keys: `ssh-ed25519 AAAA… comment` (sshd(8), "AUTHORIZED_KEYS FILE FORMAT"). */
  publicKey: string;
  /**
   * PEM of type PKCS #8, without passphrase, which OpenSSH reads from 9.6 on. Of a file in OpenSSH's own format, ssh reads
   * the public half when it starts and the private half when it signs, so a login in which the file is replaced would fail.
   * This one has no public half to be read early (sshkey_load_public in OpenSSH's authfile.c).
   */
  privateKey: string;
  /** When it was made: ISO 8601, UTC. */
  created: string;
}

/**
 * Makes an ed25519 SSH keypair.
 * @param comment stands at the end of the public key, so that a person knows whose it is
 */
export function generateSshKeypair(comment: string, now = new Date()): SshKeypair {
  const { publicKey, privateKey } = forge.pki.ed25519.generateKeyPair();
  return sshKeypairFromRaw(publicKey, privateKey, comment, now);
}

/** Writes a raw ed25519 key (32 bytes public; 64 bytes private: seed, then public half) as the texts that OpenSSH reads. */
export function sshKeypairFromRaw(
  publicKey: Uint8Array,
  privateKey: Uint8Array,
  comment: string,
  now: Date,
): SshKeypair {
  const half = new sshpk.Key({
    type: "ed25519",
    parts: [{ name: "A", data: Buffer.from(publicKey) }],
  });
  half.comment = comment;
  const base64url = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64url");
  const key = createPrivateKey({
    format: "jwk",
    key: {
      kty: "OKP",
      crv: "Ed25519",
      x: base64url(publicKey),
      d: base64url(privateKey.subarray(0, 32)),
    },
  });
  return {
    publicKey: half.toString("ssh"),
    privateKey: key.export({ format: "pem", type: "pkcs8" }).toString(),
    created: now.toISOString(),
  };
}

/**
 * The fingerprint that `ssh-keygen -l` prints: `SHA256:` and unpadded base64.
 * @param publicKey one line, `type base64 [comment]`
 */
export function sshFingerprint(publicKey: string): string {
  const blob = publicKey.split(" ")[1];
  if (blob === undefined) {
    throw new Error("not an SSH public key line: expected `type base64 [comment]`");
  }
  const digest = createHash("sha256").update(Buffer.from(blob, "base64")).digest("base64");
  return `SHA256:${digest.replaceAll("=", "")}`;
}
