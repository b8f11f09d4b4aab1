import forge from "node-forge";

/** A Nix signing keypair, in the two texts that `nix key generate-secret` and `convert-secret-to-public` print. */
export interface SigningKeypair {
  /** `<server>-<time>`; Nix finds the trusted public key of a signature by this name, so no two keys share one. */
  name: string;
  /** `<name>:<base64 of 32 bytes>`, for `trusted-public-keys` (nix.conf(5)). */
  publicKey: string;
  /** `<name>:<base64 of 64 bytes: seed, then public half>`, for `secret-key-files` (nix.conf(5)). */
  privateKey: string;
  /** When it was made: ISO 8601, UTC. */
  created: string;
}

/** Makes an ed25519 signing keypair for the store of `server`, named after the server and the time. */
export function generateSigningKeypair(server: string, now = new Date()): SigningKeypair {
  const { publicKey, privateKey } = forge.pki.ed25519.generateKeyPair();
  const name = `${server}-${compact(now)}`;
  return {
    name,
    publicKey: `${name}:${Buffer.from(publicKey).toString("base64")}`,
    privateKey: `${name}:${Buffer.from(privateKey).toString("base64")}`,
    created: now.toISOString(),
  };
}

/** `20260131T235959Z`: sortable, and without the `:` that ends a key's name. */
function compact(time: Date): string {
  return time.toISOString().replace(/[-:]|\.\d+/g, "");
}
