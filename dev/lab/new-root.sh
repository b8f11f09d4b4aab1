#!/bin/sh
# Gives a new host's root its identity: its host key, who may log in, its NixOS configuration. Runs
# under with-root.sh, in the host's folder, which holds the files that are copied.
#
# usage: new-root.sh NEW_HOST_SH KIND HOST=ADDRESS OTHER_HOST=ADDRESS...
set -eu
umask 022
new_host=$1 kind=$2
shift 2
install -m 600 ssh_host_ed25519_key root/etc/ssh/ssh_host_ed25519_key
install -m 644 ssh_host_ed25519_key.pub root/etc/ssh/ssh_host_ed25519_key.pub
install -d -m 700 root/root/.ssh
install -m 600 authorized_keys root/root/.ssh/authorized_keys
"$new_host" "--$kind" "$PWD/root" "$@"
