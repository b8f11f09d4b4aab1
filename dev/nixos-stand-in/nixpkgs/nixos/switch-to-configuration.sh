#!/bin/sh
# Stand-in for NixOS' switch-to-configuration: switch | boot | test | dry-activate, for the system it lies in.
# Exit status as on NixOS: 2 when activation failed, 4 when a unit did (also then), 11 beside another switch, 100 when
# the system needs a restart, else 0 or 1. Where the lab's host has the real program it is that which runs, but for the
# first switch, since it has to know what it comes from.
#
# Not as on NixOS: units are compared as text; targets are not restarted, nor sysinit-reactivation.target; a switch that
# was cut off leaves no list for the next one.
set -eu
PATH=/usr/sbin:/usr/bin
system=$(cd "$(dirname "$0")/.." && pwd -P)
action=${1-}
status=0

real=/opt/nixos-real-tools/switch-to-configuration
if [ -x $real ] && [ -e /run/current-system ]; then
  # What NixOS' wrapper of it says; SYSTEMD is the folder of lib/systemd/systemd and bin/systemctl.
  export OUT="$system" TOPLEVEL="$system" DISTRO_ID=debian LOCALE_ARCHIVE="" SYSTEMD=/usr
  export INSTALL_BOOTLOADER=/etc/nixpkgs/nixos/install-boot-loader.sh
  export PRE_SWITCH_CHECK="/usr/bin/bash $system/pre-switch-checks"
  exec $real "$@"
fi

case $action in
  switch | boot | test | dry-activate) ;;
  *)
    echo "Usage: $0 [switch|boot|test|dry-activate]" >&2
    exit 1
    ;;
esac

mkdir -p /run/nixos
exec 9> /run/nixos/switch-to-configuration.lock
if ! flock -n 9; then
  echo "Could not acquire lock" >&2
  exit 11
fi

if [ "${NIXOS_NO_CHECK-}" != 1 ] && ! bash "$system/pre-switch-checks" "$system" "$action"; then
  echo "Pre-switch checks failed" >&2
  exit 1
fi

if [ "$action" = switch ] || [ "$action" = boot ]; then /etc/nixpkgs/nixos/install-boot-loader.sh "$system"; fi
if [ "$action" = boot ]; then exit 0; fi

# Before the first switch of a host nothing runs yet that could be incompatible.
if [ -e /run/current-system ] && ! cmp -s /run/current-system/init-interface-version "$system/init-interface-version"; then
  cat >&2 << 'END'
Warning: the new NixOS configuration has an ‘init’ that is
incompatible with the current configuration.  The new configuration
won't take effect until you reboot the system.

END
  exit 100
fi

old=/etc/systemd/system
new=$system/etc/systemd/system
manager=
if [ -e /run/current-system/etc ]; then
  old=/run/current-system/etc/systemd/system
  manager=$(cat $old.conf 2> /dev/null || :)
fi
reexecute=
if [ "$manager" != "$(cat "$new.conf" 2> /dev/null || :)" ]; then reexecute=1; fi
lists=$(mktemp -d)
trap 'rm -rf "$lists"' EXIT
cd "$lists"
touch stop reload restart skip start new

units_in() { # FOLDER: the names of its units, also of those that it only adds to
  for unit in "$1"/*.service "$1"/*.path "$1"/*.socket "$1"/*.timer "$1"/*.service.d; do
    if [ -e "$unit" ]; then basename "${unit%.d}"; fi
  done | sort -u
}

same() { # UNIT
  for file in "$1" "$1.d/overrides.conf"; do
    if [ -e "$old/$file" ] || [ -e "$new/$file" ]; then cmp -s "$old/$file" "$new/$file" || return; fi
  done
}

says() { # UNIT LINE: whether it has this line in its section [Service]
  cat "$new/$1" "$new/$1.d/overrides.conf" 2> /dev/null | sed -n '/^\[Service\]/,/^\[[^S]/p' | grep -qx "$2"
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

changed() { # UNIT: what a change of it asks for
  socket=${1%.service}.socket
  case $1 in
    # As on NixOS: nothing.
    *.socket) ;;
    *.path | *.timer) echo "$1" >> restart ;;
    *)
      if says "$1" X-ReloadIfChanged=true; then
        echo "$1" >> reload
      elif says "$1" X-RestartIfChanged=false; then
        echo "$1" >> skip
      elif says "$1" X-StopIfChanged=false; then
        echo "$1" >> restart
      elif [ -e "$new/$socket" ] && active "$socket"; then
        printf '%s\n' "$socket" "$1" >> stop
        echo "$socket" >> start
      else
        echo "$1" | tee -a stop >> start
      fi
      ;;
  esac
}

for unit in $(units_in "$new"); do
  if active "$unit"; then
    same "$unit" || changed "$unit"
  elif wanted "$unit"; then
    echo "$unit" >> new
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
  if [ -s "$2" ]; then echo "$1: $(sort -u "$2" | paste -sd, | sed 's/,/, /g')" >&2; fi
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

# The managers of who is logged in, or was.
reload_users() {
  loginctl list-users --no-legend | while read -r uid name _; do
    echo "reloading user units for $name..." >&2
    # Of one who is no more, too.
    gid=$(stat -c %g "/run/user/$uid" || :)
    if ! setpriv --reuid "$uid" --regid "$gid" --clear-groups \
      env -i PATH="$PATH" XDG_RUNTIME_DIR="/run/user/$uid" systemctl --user daemon-reexec; then
      echo "warning: user activation for $name failed" >&2
      echo "$name" >> users-failed
    fi
  done
  if [ -e users-failed ]; then status=4; fi
}

if [ "$action" = dry-activate ]; then
  say "would stop the following units" stop
  say "would NOT stop the following changed units" skip
  echo "would activate the configuration..." >&2
  if [ -n "$reexecute" ]; then echo "would restart systemd" >&2; fi
  say "would reload the following units" reload
  say "would restart the following units" restart
  say "would start the following units" start
  exit 0
fi

say "stopping the following units" stop
apply stop stop
say "NOT restarting the following changed units" skip
echo "activating the configuration..." >&2
tmpfiles=$(readlink -f /etc/tmpfiles.d/00-nixos.conf || :)
if ! "$system/activate"; then
  echo "Failed to run activate script" >&2
  status=2
fi
if [ -n "$reexecute" ]; then
  echo "restarting systemd..." >&2
  systemctl daemon-reexec || :
  until systemctl show --property=Version > /dev/null 2>&1; do sleep 0.05; done
fi
# As NixOS does, so that only what this switch breaks counts as broken.
systemctl reset-failed || :
systemctl daemon-reload || status=4
reload_users
if [ "$tmpfiles" != "$(readlink -f /etc/tmpfiles.d/00-nixos.conf)" ]; then
  systemd-tmpfiles --create --remove /etc/tmpfiles.d/00-nixos.conf || status=4
fi
say "reloading the following units" reload
apply reload reload
say "restarting the following units" restart
apply restart restart
say "starting the following units" start
apply start start
# On NixOS their targets start them.
apply start new
# As NixOS does: a moment later, and also those that systemd has to start again and again.
sleep 0.25
systemctl list-units --state=failed --plain --no-legend | cut -d' ' -f1 > failed
systemctl list-units --state=auto-restart,auto-restart-queued --plain --no-legend | cut -d' ' -f1 |
  while read -r unit; do
    if [ "$(systemctl show --property=ExecMainStatus --value -- "$unit")" != 0 ]; then echo "$unit" >> failed; fi
  done
grep -vxF -f failed new > started || :
say "the following new units were started" started
if [ -s failed ]; then
  say "warning: the following units failed" failed
  xargs systemctl status --no-pager --full -- < failed >&2 || :
  status=4
fi
exit $status
