#!/bin/sh
# Stand-in for NixOS' switch-to-configuration: switch | boot | test | dry-activate, for the system it lies in.
# Exit status as on NixOS: 2 when activation failed, 4 when a unit did (also then), else 0 or 1.
set -eu
PATH=/usr/sbin:/usr/bin
system=$(cd "$(dirname "$0")/.." && pwd -P)
action=${1-}
status=0

case $action in
  switch | boot | test | dry-activate) ;;
  *)
    echo "Usage: $0 [switch|boot|test|dry-activate]" >&2
    exit 1
    ;;
esac

if [ "${NIXOS_NO_CHECK-}" != 1 ] && ! bash "$system/pre-switch-checks" "$system" "$action"; then
  echo "Pre-switch checks failed" >&2
  exit 1
fi

mkdir -p /run/nixos
exec 9> /run/nixos/switch-to-configuration.lock
if ! flock -n 9; then
  echo "Could not acquire lock" >&2
  exit 1
fi

# The lab's boot loader: stage-2.sh boots what this link names.
if [ "$action" = switch ] || [ "$action" = boot ]; then
  ln -sfn "$system" /boot/nixos-system.tmp
  mv -T /boot/nixos-system.tmp /boot/nixos-system
fi
if [ "$action" = boot ]; then exit 0; fi

old=/etc/systemd/system
new=$system/etc/systemd/system
manager=
if [ -e /run/current-system/etc ]; then
  old=/run/current-system/etc/systemd/system
  manager=$(cat $old.conf 2> /dev/null || :)
fi
lists=$(mktemp -d)
trap 'rm -rf "$lists"' EXIT
cd "$lists"
touch stop restart skip start

units_in() { # FOLDER: the names of its units, also of those that it only adds to
  for unit in "$1"/*.service "$1"/*.path "$1"/*.service.d; do
    if [ -e "$unit" ]; then basename "${unit%.d}"; fi
  done | sort -u
}

same() { # UNIT
  cmp -s "$old/$1" "$new/$1" || cmp -s "$old/$1.d/overrides.conf" "$new/$1.d/overrides.conf"
}

wanted() { # UNIT
  find "$new" -path "*.wants/$1" | grep -q .
}

active() { # UNIT: or about to be
  case $(systemctl show --property=ActiveState --value -- "$1") in
    active | activating | reloading) ;;
    *) return 1 ;;
  esac
}

for unit in $(units_in "$new"); do
  if ! same "$unit" && active "$unit"; then
    if grep -qs '^X-RestartIfChanged=false' "$new/$unit"; then list=skip; else list=restart; fi
    echo "$unit" >> $list
  elif wanted "$unit" && ! active "$unit"; then
    echo "$unit" >> start
  fi
done
# Only what an earlier system brought: Debian's own units are none of our business.
if [ -e /run/current-system/etc ]; then
  for unit in $(units_in "$old"); do
    if [ -e "$new/$unit" ] || [ -e "$new/$unit.d" ] || ! active "$unit"; then continue; fi
    if [ -e "$old/$unit" ]; then echo "$unit" >> stop; else echo "$unit" >> restart; fi
  done
fi

say() { # TEXT LIST
  if [ -s "$2" ]; then echo "$1 the following units: $(paste -sd, "$2" | sed 's/,/, /g')" >&2; fi
}

apply() { # VERB LIST
  while read -r unit; do
    systemctl "$1" -- "$unit" && continue
    # In a container, systemd once in some hundred times cannot spawn: no fault of the unit.
    if [ "$(systemctl show --property=Result --value -- "$unit")" = resources ]; then
      systemctl "$1" -- "$unit" && continue
    fi
    status=4
  done < "$2"
}

if [ "$action" = dry-activate ]; then
  say "would stop" stop
  say "would NOT restart" skip
  echo "would activate the configuration..." >&2
  say "would restart" restart
  say "would start" start
  exit 0
fi

say "stopping" stop
apply stop stop
say "NOT restarting" skip
echo "activating the configuration..." >&2
tmpfiles=$(readlink -f /etc/tmpfiles.d/00-nixos.conf || :)
"$system/activate" || status=2
if [ "$manager" != "$(cat "$new.conf" 2> /dev/null || :)" ]; then
  echo "restarting systemd..." >&2
  systemctl daemon-reexec || :
  until systemctl show --property=Version > /dev/null 2>&1; do sleep 0.05; done
fi
# As NixOS does, so that only what this switch breaks counts as broken.
systemctl reset-failed || :
systemctl daemon-reload || status=4
if [ "$tmpfiles" != "$(readlink -f /etc/tmpfiles.d/00-nixos.conf)" ]; then
  systemd-tmpfiles --create --remove /etc/tmpfiles.d/00-nixos.conf || status=4
fi
say "restarting" restart
apply restart restart
say "starting" start
apply start start
# As NixOS does: a moment later, and also those that systemd has to start again and again.
sleep 0.25
systemctl list-units --state=failed --plain --no-legend | cut -d' ' -f1 > failed
systemctl list-units --state=auto-restart,auto-restart-queued --plain --no-legend | cut -d' ' -f1 |
  while read -r unit; do
    if [ "$(systemctl show --property=ExecMainStatus --value -- "$unit")" != 0 ]; then echo "$unit" >> failed; fi
  done
if [ -s failed ]; then
  echo "warning: the following units failed: $(paste -sd, failed | sed 's/,/, /g')" >&2
  xargs systemctl status --no-pager --full -- < failed >&2 || :
  status=4
fi
exit $status
