#!/bin/sh
# Usage: new-host.sh [--git | --no-git | --channel] ROOT HOST[=ADDRESS] [OTHER-HOST[=ADDRESS]...]
# Lays /etc/nixos (and /etc/hostname) of the lab's machine HOST into ROOT, a host's own copy of the tree that
# install.sh prepared. Root only. What it is:
#   --git      a git repository with one commit: a flake with a nixosConfigurations.NAME for HOST and each
#              OTHER-HOST, and its flake.lock; the default
#   --no-git   the same flake in a folder that is no repository
#   --channel  configuration.nix, for a machine with channels and no flake
# The ADDRESSes become networking.hosts, so that the machines know each other's names: /etc/hosts belongs to the
# NixOS configuration. ROOT may be an overlay mount; it need not run, and is chrooted into for its own Nix and git.
# Root's login keys (/root/.ssh/authorized_keys) and host keys (/etc/ssh/ssh_host_ed25519_key) are the lab's business;
# the people in base.nix log in with the keys that root has now.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
kind=git
case ${1-} in
  --git | --no-git | --channel)
    kind=${1#--}
    shift
    ;;
esac
if [ $# -lt 2 ] || [ ! -d "$1/etc/nixpkgs" ]; then
  echo "usage: new-host.sh [--git | --no-git | --channel] ROOT HOST[=ADDRESS] [OTHER-HOST[=ADDRESS]...]" >&2
  exit 1
fi
root=$1
shift
etc=$root/etc/nixos
host=${1%%=*}

rm -rf "$etc" "$root/etc/hostname"
mkdir -p "$etc/hosts"
echo "$host" > "$root/etc/hostname"
cp "$here/etc-nixos/base.nix" "$etc/"
cat "$root/root/.ssh/authorized_keys" > "$etc/operator.pub"
for machine in "$@"; do
  cat > "$etc/hosts/${machine%%=*}.nix" << EOF
{
  networking.hostName = "${machine%%=*}";
  nixpkgs.hostPlatform = "$(uname -m)-linux";
  system.stateVersion = "25.11";
}
EOF
done
{
  printf '{\n  networking.hosts = {\n'
  for machine in "$@"; do
    case $machine in *=*) printf '    "%s" = [ "%s" ];\n' "${machine#*=}" "${machine%%=*}" ;; esac
  done
  printf '  };\n}\n'
} > "$etc/network.nix"

if [ "$kind" = channel ]; then
  sed "s/HOST/$host/" "$here/etc-nixos/configuration.nix" > "$etc/configuration.nix"
  exit 0
fi
in_root() { # SHELL-TEXT; Nix reads /proc, which a mount namespace of its own gives it
  # shellcheck disable=SC2016  # expanded by the inner shell
  unshare --mount sh -euc 'mount --bind /proc "$0/proc"; exec chroot "$0" sh -euc "$1"' "$root" "$1"
}

cp "$here/etc-nixos/flake.nix" "$etc/"
hash=$(in_root "nix-hash --type sha256 --base64 /etc/nixpkgs")
cat > "$etc/flake.lock" << EOF
{
  "nodes": {
    "nixpkgs": {
      "locked": {
        "lastModified": 1,
        "narHash": "sha256-$hash",
        "path": "/etc/nixpkgs",
        "type": "path"
      },
      "original": { "path": "/etc/nixpkgs", "type": "path" }
    },
    "root": { "inputs": { "nixpkgs": "nixpkgs" } }
  },
  "root": "root",
  "version": 7
}
EOF
if [ "$kind" = git ]; then
  in_root '
    cd /etc/nixos
    git init --quiet --initial-branch=main
    git add .
    git -c user.name=owner -c user.email=owner@lab commit --quiet --message="The machines of this home"
  '
fi
