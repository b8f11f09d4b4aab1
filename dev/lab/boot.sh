#!/bin/sh
# Boots a host and boots it again when it reboots. Runs under with-root.sh, in the host's folder.
#
# usage: boot.sh CGROUP NSPAWN_ARGUMENT...
#
# With --keep-unit, systemd-nspawn leaves a reboot to whoever started it: it exits with 133. Each
# boot starts in the group "machine", where systemd-nspawn makes its own "supervisor" and "payload".
set -eu
cgroup=$1
shift
mkdir -p "$cgroup/loop" "$cgroup/machine"
echo $$ >"$cgroup/loop/cgroup.procs"
export SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1
while :; do
  status=0
  # shellcheck disable=SC2016 # the inner shell expands these
  sh -c 'echo $$ >"$0/cgroup.procs" && exec systemd-nspawn "$@"' "$cgroup/machine" "$@" || status=$?
  [ "$status" -eq 133 ] || exit "$status"
done
