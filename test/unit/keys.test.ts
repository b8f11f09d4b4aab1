import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, expect, test } from "vitest";
import { generateSigningKeypair } from "../../keys/signing-key.ts";
import { generateSshKeypair, sshFingerprint } from "../../keys/ssh-key.ts";
import { parsedPrivateKey } from "../../machine/private-key.ts";
import { seeds, sshKeypairOf } from "../ssh-keys-of-seeds.ts";

const folder = mkdtempSync(join(tmpdir(), "keys-"));
afterAll(() => rmSync(folder, { recursive: true }));

test("the private half is the one that belongs to the public half, of any seed", () => {
  fc.assert(
    fc.property(seeds, (seed) => {
      const { publicKey, privateKey } = sshKeypairOf(seed);
      const read = parsedPrivateKey(privateKey, undefined);
      expect(`ssh-ed25519 ${read.getPublicSSH().toString("base64")} pai`).toBe(publicKey);
    }),
    { numRuns: 60 },
  );
});

test("the fingerprint is the one that ssh-keygen prints", () => {
  const { publicKey } = generateSshKeypair("pai");
  const file = join(folder, "key.pub");
  writeFileSync(file, publicKey);
  expect(execFileSync("ssh-keygen", ["-l", "-f", file], { encoding: "utf8" })).toBe(
    `256 ${sshFingerprint(publicKey)} pai (ED25519)\n`,
  );
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
