#!/bin/sh
# Stand-in for a boot loader's installer: makes SYSTEM what stage-2.sh boots.
# usage: install-boot-loader.sh SYSTEM
set -eu
PATH=/usr/sbin:/usr/bin
ln -sfn "$1" /boot/nixos-system.tmp
mv -T /boot/nixos-system.tmp /boot/nixos-system
