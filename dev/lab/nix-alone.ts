import { mkdir, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { execa } from "execa";
import { baseTree } from "./base-tree.ts";
import { briefFolder } from "./brief-folder.ts";
import { defaultSuite } from "./suite.ts";

// In a host's folder (with-root.sh). Flakes are off in Debian's Nix; there is no daemon that would build.
const inRoot = `
  mount -t proc proc root/proc
  mount --rbind /dev root/dev
  while [ $# -gt 1 ]; do
    mkdir -p "root$(dirname "$2")"
    if [ -d "$1" ]; then mkdir -p "root$2"; else : >"root$2"; fi
    mount --bind "$1" "root$2" && mount -o remount,bind,ro "root$2"
    shift 2
  done
  exec env -i HOME=/root PATH=/usr/bin:/usr/sbin NIX_CONFIG='experimental-features = nix-command flakes' \\
    chroot root sh -euc "$1"`;

/**
 * Runs a shell script with the hosts' Nix, without a host: as root in their base tree, with a Nix store of its own, the
 * stand-in for nixpkgs in /etc/nixpkgs, and no network. What it writes is gone with its end.
 * @param files folders and files of this computer that it sees, read-only, by their paths there
 * @returns its stdout
 * @throws with its stderr when it fails
 */
export async function nixAlone(script: string, files: Record<string, string>): Promise<string> {
  const folder = await briefFolder("nixos-cache-nix-");
  try {
    const lab = { id: basename(folder), folder };
    const tree = await baseTree(defaultSuite(), lab, () => {});
    const host = join(folder, "hosts", "nix");
    await mkdir(host, { recursive: true });
    const { stdout } = await execa("unshare", [
      ...["--mount", "--propagation", "slave", "--net", "--pid", "--fork", "--kill-child"],
      ...["sh", join(import.meta.dirname, "with-root.sh"), tree, host],
      ...["sh", "-euc", inRoot, "sh"],
      ...Object.entries(files).flatMap(([there, here]) => [here, there]),
      script,
    ]);
    return stdout;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
