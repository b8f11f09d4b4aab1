#!/bin/sh
# What a machine is like before it is a cache or fetches from one. Changes nothing. Its arguments are addresses of
# servers, two words each: ADDRESS PORT. Answers in fields that tabs separate:
#
#   nixos VERSION
#   nix VERSION
#   hostname NAME
#   host-key LINE             of sshd: ed25519, else ECDSA
#   from flake|channel        what /etc/nixos is built from; without it, neither is there
#   folder FOLDER             where /etc/nixos really is, or what its flake.nix is a link to
#   owner USER                of /etc/nixos
#   repository FOLDER         of git, in which /etc/nixos is
#   git                       root has git
#   imported FILE             a file that names our folder
#   module FILE LINE          where an import line can go: the file, and the line of its `imports`, 0 without one
#   deployed WORDS            who else deploys this machine
#   elsewhere                 its system was not built here, as far as the store says
#   serves                    it has the user nix-ssh
#   fetches URL               a substituter over SSH
#   belongs ROLE STACK        to a stack of ours
#   sees ADDRESS LINE         the host key that an address shows from here; empty where nobody answers
#   unknown ADDRESS           this machine does not resolve it
#   end
set -u
current=/run/current-system
nixos=$(readlink -f /etc/nixos)
if [ -L /etc/nixos/flake.nix ]; then nixos=$(dirname "$(readlink -f /etc/nixos/flake.nix)"); fi

if [ -e /etc/NIXOS ] && [ -e $current/nixos-version ]; then answer nixos "$(cat $current/nixos-version)"; fi
answer nix "$(nix --version 2>/dev/null | sed 's/.* //')"
answer hostname "$(cat /proc/sys/kernel/hostname)"

for type in '^ssh-ed25519 ' '^ecdsa-sha2-'; do
  sshd -T 2>/dev/null | sed -n 's/^hostkey //p' | while IFS= read -r file; do
    if [ -e "$file" ]; then ssh-keygen -y -P '' -f "$file" 2>/dev/null </dev/null; fi
  done | grep "$type"
done | head -n 1 | cut -d' ' -f1,2 | sed 's/^/host-key\t/'

if [ -d "$nixos" ]; then
  answer folder "$nixos"
  answer owner "$(stat -c %U "$nixos")"
  if [ -e "$nixos/flake.nix" ]; then
    answer from flake
  elif [ -e "$nixos/configuration.nix" ]; then
    answer from channel
  fi
  at=$nixos
  while [ "$at" != / ] && [ ! -e "$at/.git" ]; do at=$(dirname "$at"); done
  if [ "$at" != / ]; then answer repository "$at"; fi
  if command -v git >/dev/null; then answer git; fi
  imported=$(importing "$nixos")
  if [ -n "$imported" ]; then answer imported "$imported"; fi
  # The machine's own module, by its name in it.
  module=$(modules "$nixos" "hostName *= *\"$(cat /proc/sys/kernel/hostname)\"" | grep -v '/flake\.nix$' | head -n 1)
  for file in configuration.nix flake.nix; do
    if [ -z "$module" ] && [ -e "$nixos/$file" ]; then module=$nixos/$file; fi
  done
  if [ -n "$module" ]; then
    line=$(as_owner "$nixos" grep -m 1 -nE '(^|[^a-zA-Z])imports *=' "$module" 2>/dev/null | cut -d: -f1)
    answer module "$module" "${line:-0}"
  fi
fi

# upgrades_from: the flake of system.autoUpgrade, where it is not this configuration (machine/helper/edits.sh).
upgrades_from() {
  start=$(sed -n 's/^ExecStart=[^/]*\([^ ]*\).*/\1/p' $current/etc/systemd/system/nixos-upgrade.service 2>/dev/null | head -n 1)
  [ -e "$start" ] || return 0
  sed -n "s/.*--flake ['\"]\{0,1\}\([^ '\"]*\).*/\1/p" "$start" |
    grep -Ev "^((path|git\+file):(//)?)?($nixos|/etc/nixos)([#?]|\$)" | head -n 1
}
upgrade=$(upgrades_from)
derivation=$(nix-store --query --deriver $current 2>/dev/null)
if [ -e $current/etc/systemd/system/comin.service ]; then
  answer deployed comin
elif [ -e /nix/var/nix/profiles/system/deploy-rs-activate ]; then
  answer deployed deploy-rs
elif [ -n "$upgrade" ]; then
  answer deployed "system.autoUpgrade from $upgrade"
elif [ ! -e "$derivation" ]; then
  # Nix keeps those of what is in use (nix.conf(5), keep-derivations).
  answer elsewhere
fi
if getent passwd nix-ssh >/dev/null; then answer serves; fi
nix_settings | sed -n 's/^substituters = //p' | tr ' ' '\n' | sed -n 's|^ssh\(-ng\)\{0,1\}://|fetches\t&|p'
if [ -e /var/lib/nixos-cache/owners ]; then
  while read -r role stack _; do answer belongs "$role" "$stack"; done </var/lib/nixos-cache/owners
fi

while [ $# -ge 2 ]; do
  if getent ahosts "$1" >/dev/null; then
    shown=$(timeout 10 ssh-keyscan -T 5 -p "$2" -t ed25519,ecdsa "$1" 2>/dev/null | sed -n 's/^[^# ]* //p')
    if [ -z "$shown" ]; then answer sees "$1" ''; fi
    printf '%s\n' "$shown" | while IFS= read -r key; do if [ -n "$key" ]; then answer sees "$1" "$key"; fi; done
  else
    answer unknown "$1"
  fi
  shift 2
done
echo end
