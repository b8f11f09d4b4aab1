import { generateKeyPairSync } from "node:crypto";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import type { Renewal } from "../tool.ts";

/**
 * The keys of a set-up by hand, in a folder on the operator's computer. For each client the files that ssh-keygen
 * writes, `NAME` and `NAME.pub`; for the server `signing-key` and `signing-key.pub`, as `nix-store
 * --generate-binary-cache-key` writes them.
 */
export class HandMadeKeys {
  readonly folder: string;
  readonly #server: string;
  readonly #clients: readonly string[];

  constructor(folder: string, [server = "", ...clients]: readonly string[]) {
    this.folder = folder;
    this.#server = server;
    this.#clients = clients;
  }

  /** Makes new keys, in place of those that are there. */
  async renew(which: Renewal): Promise<void> {
    await mkdir(this.folder, { recursive: true, mode: 0o700 });
    if (which !== "signing") for (const client of this.#clients) await this.#sshKey(client);
    if (which !== "SSH") await this.#signingKey();
  }

  async #sshKey(client: string): Promise<void> {
    const file = join(this.folder, client);
    // ssh-keygen would ask before it overwrites.
    await rm(file, { force: true });
    await execa("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-C", client, "-f", file]);
  }

  /** With node:crypto, for the operator's computer need not have Nix. */
  async #signingKey(): Promise<void> {
    const { d = "", x = "" } = generateKeyPairSync("ed25519").privateKey.export({ format: "jwk" });
    const name = `${this.#server}-${Date.now()}`;
    const [seed, half] = [Buffer.from(d, "base64url"), Buffer.from(x, "base64url")];
    const secret = Buffer.concat([seed, half]).toString("base64");
    const file = join(this.folder, "signing-key");
    await writeFile(file, `${name}:${secret}`, { mode: 0o600 });
    await writeFile(`${file}.pub`, `${name}:${half.toString("base64")}`);
  }
}
