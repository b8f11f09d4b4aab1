import { existsSync } from "node:fs";
import { rename, rm } from "node:fs/promises";
import { execa } from "execa";

/** Makes an ed25519 keypair without passphrase: `file` (mode 0600) and `file`.pub. Keeps the one that
 * is there. */
export async function makeKeyPair(file: string, comment: string): Promise<void> {
  if (existsSync(file)) return;
  // The private half gets its name last, so after a crash there is a whole pair or none.
  const fresh = `${file}.new`;
  await rm(fresh, { force: true });
  await execa("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", fresh]);
  await rename(`${fresh}.pub`, `${file}.pub`);
  await rename(fresh, file);
}
