import type { Home } from "../system/home.ts";

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

/** `type base64` of a public key, without its comment: what is the same wherever it stands. */
export function bare(publicKey: string): string {
  return publicKey.trim().split(" ").slice(0, 2).join(" ");
}

/** The lines of `host`'s authorized keys of nix-ssh that are `client`'s and not revoked. */
export async function keysOf(home: Home, client: string, host = "kalaw"): Promise<string[]> {
  const authorized = await home.on(host, "cat /etc/ssh/authorized_keys.d/nix-ssh || true");
  const revoked = await home.on(host, "cat /var/lib/nixos-cache/revoked_keys || true");
  const dead = new Set(revoked.split("\n").filter(Boolean).map(bare));
  return authorized
    .split("\n")
    .filter((line) => line.endsWith(` ${client}`) && !dead.has(bare(line)));
}

/** Whether kalaw lets `client` in with the private key in this file there; with ssh's own words if not. */
export async function tryKey(home: Home, client: string, file: string): Promise<string> {
  const { code, stderr } = await home.tryOn(
    client,
    `NIX_SSHOPTS="-F none -i ${file} -o IdentitiesOnly=yes -o BatchMode=yes -o ConnectTimeout=10" \
       nix store info --store ssh://nix-ssh@kalaw`,
  );
  return code === 0 ? "let in" : stderr;
}
