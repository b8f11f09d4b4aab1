#!/bin/sh
# Stand-in for NixOS' boot loader and stage 2: at boot, before any ordinary unit, activates the system that
# switch-to-configuration last made the boot default, then goes on to multi-user.target. A system that was only
# tested is gone so. A new host, which has no system yet, boots as install.sh laid it.
set -eu
PATH=/usr/sbin:/usr/bin
if [ -e /boot/nixos-system/activate ]; then
  /boot/nixos-system/activate || echo "stage 2: activation failed" >&2
  ln -sfn "$(readlink -f /run/current-system)" /run/booted-system
  systemctl daemon-reload
fi
exec systemctl start --no-block multi-user.target
