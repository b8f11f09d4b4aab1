import fc from "fast-check";
import forge from "node-forge";
import { type SshKeypair, sshKeypairFromRaw } from "../keys/ssh-key.ts";

/** Seeds of ed25519 keys, also such as encoders of numbers get wrong: with leading zeros or high bits. */
export const seeds: fc.Arbitrary<Uint8Array> = fc.oneof(
  fc.uint8Array({ minLength: 32, maxLength: 32 }),
  fc.uint8Array({ minLength: 30, maxLength: 30 }).map((rest) => Uint8Array.of(0, 0, ...rest)),
  fc.uint8Array({ minLength: 31, maxLength: 31 }).map((rest) => Uint8Array.of(0x80, ...rest)),
);

/** The keypair that a seed makes, with the comment `pai`. */
export function sshKeypairOf(seed: Uint8Array): SshKeypair {
  const { publicKey, privateKey } = forge.pki.ed25519.generateKeyPair({ seed });
  return sshKeypairFromRaw(publicKey, privateKey, "pai", new Date());
}
