import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import forge from "node-forge";
import { afterAll, expect, test } from "vitest";
import { generateSigningKeypair } from "../../keys/signing-key.ts";
import { generateSshKeypair, sshFingerprint, sshKeypairFromRaw } from "../../keys/ssh-key.ts";

const folder = mkdtempSync(join(tmpdir(), "keys-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** What OpenSSH itself reads from a private key. */
function sshKeygen(privateKey: string, ...options: string[]): string {
  const file = join(folder, "key");
  writeFileSync(file, privateKey, { mode: 0o600 });
  return execFileSync("ssh-keygen", [...options, "-f", file], { encoding: "utf8" }).trim();
}

test("OpenSSH reads the keys of any seed, and finds the public half in them", () => {
  const seeds = fc.oneof(
    fc.uint8Array({ minLength: 32, maxLength: 32 }),
    // Leading zeros and high bits are where encoders of numbers go wrong.
    fc.uint8Array({ minLength: 30, maxLength: 30 }).map((rest) => Uint8Array.of(0, 0, ...rest)),
    fc.uint8Array({ minLength: 31, maxLength: 31 }).map((rest) => Uint8Array.of(0x80, ...rest)),
  );
  fc.assert(
    fc.property(seeds, (seed) => {
      const raw = forge.pki.ed25519.generateKeyPair({ seed });
      const keypair = sshKeypairFromRaw(raw.publicKey, raw.privateKey, "pai", new Date());
      expect(sshKeygen(keypair.privateKey, "-y", "-P", "")).toBe(keypair.publicKey);
    }),
    { numRuns: 60 },
  );
});

test("the fingerprint is the one that ssh-keygen prints", () => {
  const { publicKey, privateKey } = generateSshKeypair("pai");
  const fingerprint = sshFingerprint(publicKey);
  expect(sshKeygen(privateKey, "-l")).toBe(`256 ${fingerprint} pai (ED25519)`);
});

test("what is no public key has no fingerprint", () => {
  expect(() => sshFingerprint("ssh-ed25519")).toThrow("not an SSH public key line");
});

test("two SSH keys are never the same", () => {
  expect(generateSshKeypair("pai").privateKey).not.toBe(generateSshKeypair("pai").privateKey);
});

test("a signing key is named after its server and its time, which no two generations share", () => {
  const key = generateSigningKeypair("kalaw", new Date("2026-11-22T21:13:46.789Z"));
  expect(key.name).toBe("kalaw-20261122T211346Z");
  const [name, secret] = key.privateKey.split(":");
  const [publicName, half] = key.publicKey.split(":");
  expect([name, publicName]).toEqual([key.name, key.name]);
  expect(Buffer.from(secret ?? "", "base64")).toHaveLength(64);
  expect(Buffer.from(secret ?? "", "base64").subarray(32)).toEqual(
    Buffer.from(half ?? "", "base64"),
  );
});
