/** Where Debian has it. */
const own = "/usr/share/keyrings/debian-archive-keyring.gpg";

/**
 * The file with the keys that Debian's archive is signed by: `$NIXOS_CACHE_DEBIAN_KEYRING`, which shell.nix sets, else the
 * one that the package debian-archive-keyring installs.
 */
export function debianKeyring(env: NodeJS.ProcessEnv = process.env): string {
  return env.NIXOS_CACHE_DEBIAN_KEYRING || own;
}
