import type { Home } from "../system/home.ts";

/** A client's SSH key, on the client. */
export const identity = "/var/lib/nixos-cache/secret/identity";

/** The folder of a server's signing keys, on the server. */
export const signing = "/var/lib/nixos-cache/secret/signing";

/** What a client is told whose key a server does not accept: by ssh. */
export const refusal = "Permission denied (publickey";

/** A keypair as the stack's state has it (keys/ssh-key.ts, keys/signing-key.ts). */
export interface StoredKeypair {
  publicKey: string;
  privateKey: string;
  /** Of signing keys only. */
  name?: string;
  created: string;
}

/** The keypair that the stack's state has now, by its resource: `pai-key`, `kalaw-signing-key`. */
export async function storedKeypair(home: Home, resource: string): Promise<StoredKeypair> {
  const { stdout } = await home.stack.run(["stack", "export", "--show-secrets"]);
  const { deployment } = JSON.parse(stdout) as {
    deployment: { resources: { urn: string; outputs?: { output?: { plaintext: string } } }[] };
  };
  const found = deployment.resources.find(({ urn }) => urn.endsWith(`::${resource}`));
  const text = found?.outputs?.output?.plaintext;
  if (text === undefined) throw new Error(`there is no ${resource} in the state`);
  return JSON.parse(text);
}

/** Of a client's private key what no other has, on one line: without what every PEM of its type begins with. */
export function keyMaterial(privateKey: string): string {
  const material = privateKey.split("\n")[1]?.slice(22);
  if (!material) throw new Error("that is no client's private key");
  return material;
}

/** `type base64` of a public key, without its comment: what is the same wherever it stands. */
export function bare(publicKey: string): string {
  return publicKey.trim().split(" ").slice(0, 2).join(" ");
}

/** The keys by which `host` lets `client` read, as `type base64`. */
export async function keysOf(home: Home, client: string, host = "kalaw"): Promise<string[]> {
  const authorized = await home.on(host, "cat /var/lib/nixos-cache/authorized_keys || true");
  return authorized
    .split("\n")
    .filter((line) => line.endsWith(` ${client}@${host}`))
    .map(bare);
}

/** The names of the keys that new paths on `host` are signed with, as its Nix daemon reads them; in alphabetical order. */
export async function signingKeysOf(home: Home, host = "kalaw"): Promise<string[]> {
  const names = await home.on(
    host,
    "for file in $(nix config show secret-key-files); do cut -d: -f1 $file; done | sort -u",
  );
  return names.split("\n").filter(Boolean);
}

/** The public keys of `server` that `client` accepts signatures of. */
export async function trustedBy(home: Home, client: string, server = "kalaw"): Promise<string[]> {
  const keys = await home.on(client, "nix config show trusted-public-keys");
  return keys.split(/\s+/).filter((key) => key.startsWith(`${server}-`));
}

/** ssh's options for a login with the private key in this file and nothing else. */
export const withKey = (file: string) =>
  `-F none -i ${file} -o IdentitiesOnly=yes -o BatchMode=yes -o ConnectTimeout=10 \
   -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR`;

/** Whether kalaw lets `client` in with the private key in this file there; with ssh's own words if not. */
export async function tryKey(home: Home, client: string, file: string): Promise<string> {
  const { code, stderr } = await home.tryOn(
    client,
    `NIX_SSHOPTS="${withKey(file)}" nix store info --store ssh://nix-ssh@kalaw`,
  );
  return code === 0 ? "let in" : stderr;
}
