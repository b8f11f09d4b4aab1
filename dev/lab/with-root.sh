#!/bin/sh
# Mounts a host's root, an overlay over the base tree, and runs a command in its folder.
#
# usage: unshare --mount --propagation slave sh with-root.sh BASE_TREE HOST_FOLDER COMMAND...
#
# In a mount namespace of its own nobody else sees the mounts, and they go away with the last
# process however that ends. The paths given to overlayfs are relative because its options have no
# sane way to write a colon or a comma.
set -eu
umask 022
base_tree=$1 folder=$2
shift 2
cd "$folder"
mkdir -p base upper work root
mount --bind -o ro "$base_tree" base
if ! mount -t overlay overlay -o lowerdir=base,upperdir=upper,workdir=work root; then
  echo "cannot put an overlay on $(stat -f -c %T upper) at $folder: choose a folder on an ordinary" \
    "local disk (ext4, xfs, btrfs …) with NIXOS_CACHE_LAB" >&2
  exit 1
fi
exec "$@"
