#!/bin/sh
# Stand-in for nixos-rebuild, for this machine only (no --target-host, --build-host, --upgrade, --specialisation).
#
# Two things are here for the benchmarks, and the real one has neither:
# - Each evaluation writes its action as a line to /run/nixos-rebuild.log, so that they can be counted.
# - Where /etc/lab-evaluation-seconds holds a number, each evaluation takes so many seconds more. A real configuration
#   takes 10 to 60 s to evaluate, the lab's a fraction of one. It is a wait and no load: the hosts of a lab share their
#   processors, real machines do not, so each would evaluate without holding up the others.
#
# Where the lab's host has the real program it is that which runs.
set -eu
PATH=$PATH:/usr/sbin:/usr/bin
real=/opt/nixos-real-tools/nixos-rebuild
if [ -x $real ]; then exec $real "$@"; fi
profile=/nix/var/nix/profiles/system

usage() {
  echo "usage: nixos-rebuild {switch|boot|test|build|dry-build|dry-activate|list-generations} [--flake [PATH][#NAME] | --no-flake | --file PATH] [--rollback] [NIX-OPTION...]" >&2
  exit 1
}

[ $# -gt 0 ] || usage
action=
flake=
no_flake=
file=
rollback=
count=$#
# Nix's own options move to the end of "$@", so that none is split.
while [ "$count" -gt 0 ]; do
  arg=$1
  shift
  count=$((count - 1))
  pass=1
  values=0
  case $arg in
    switch | boot | test | build | dry-build | dry-activate | list-generations)
      action=$arg
      pass=
      ;;
    --rollback)
      rollback=1
      pass=
      ;;
    --flake)
      pass=
      flake=.
      if [ "$count" -gt 0 ]; then
        case $1 in -*) ;; *) flake=$1 && shift && count=$((count - 1)) ;; esac
      fi
      ;;
    --file | -f)
      [ "$count" -gt 0 ] || usage
      file=$1
      pass=
      shift
      count=$((count - 1))
      ;;
    --no-flake)
      no_flake=1
      pass=
      ;;
    --fast | --no-reexec | --install-bootloader | --use-remote-sudo | --sudo) pass= ;;
    --option | --override-input) values=2 ;;
    --max-jobs | -j | --cores | -I | --log-format | --builders) values=1 ;;
    -k) arg=--keep-going ;;
    -j* | --show-trace | --impure | -L | --print-build-logs | -v | --verbose | --quiet | --keep-going) ;;
    --keep-failed | --fallback | --offline | --refresh | --no-write-lock-file | --accept-flake-config) ;;
    *)
      echo "error: nixos-rebuild: unknown option: $arg" >&2
      usage
      ;;
  esac
  if [ -n "$pass" ]; then set -- "$@" "$arg"; fi
  while [ $values -gt 0 ]; do
    [ "$count" -gt 0 ] || usage
    value=$1
    shift
    set -- "$@" "$value"
    values=$((values - 1))
    count=$((count - 1))
  done
done
[ -n "$action" ] || usage

# What is built, the first that there is: --file; a flake; a file that evaluates to a system, named by <nixos-system>
# or in its place (since 26.05); configuration.nix.
if [ -n "$file" ]; then
  if [ -n "$flake" ]; then
    echo "nixos-rebuild: error: --flake cannot be used with --file or --attr" >&2
    exit 2
  fi
elif [ -n "$no_flake" ]; then
  flake=
elif [ -z "$flake" ] && [ -e /etc/nixos/flake.nix ]; then
  flake=$(dirname "$(readlink -f /etc/nixos/flake.nix)")
fi
if [ -z "$flake$file" ]; then
  file=$(nix-instantiate --find-file nixos-system 2> /dev/null || :)
  if [ -z "$file" ] && [ -e /etc/nixos/system.nix ]; then file=/etc/nixos/system.nix; fi
fi
name=${flake#*#}
if [ "$name" = "$flake" ] || [ -z "$name" ]; then name=$(cat /proc/sys/kernel/hostname); fi
path=${flake%%#*}

build() { # NIX-OPTION...: builds, and prints the system's path
  if [ -n "$flake" ]; then
    nix --extra-experimental-features "nix-command flakes" build --print-out-paths \
      "${path:-.}#nixosConfigurations.\"$name\".config.system.build.toplevel" "$@"
  else
    nix-build "${file:-<nixpkgs/nixos>}" --attr config.system.build.toplevel "$@"
  fi
}

before_evaluation() {
  # Somebody who is not root may build, and not write here.
  { echo "$action" >> /run/nixos-rebuild.log; } 2> /dev/null || :
  if [ -e /etc/lab-evaluation-seconds ]; then sleep "$(cat /etc/lab-evaluation-seconds)"; fi
}

# A switch goes on when the terminal that asked for it is gone, and two at once exclude each other. What is over is
# none of the two: building is so quick here that systemd has often not forgotten the last one yet, and at times the
# daemon-reload within it makes systemd never do so, until the next one.
activate() { # SYSTEM ACTION
  unit=nixos-rebuild-switch-to-configuration
  for try in $(seq 40); do
    case $(systemctl show --property=LoadState,ActiveState $unit) in
      *=loaded*ActiveState=inactive* | *=loaded*ActiveState=failed*) ;;
      *) break ;;
    esac
    if [ "$((try % 10))" = 0 ]; then systemctl daemon-reload; fi
    sleep 0.05
  done
  systemd-run -E LOCALE_ARCHIVE -E NIXOS_INSTALL_BOOTLOADER --collect --no-ask-password --pipe --quiet --wait \
    --service-type=exec --unit=$unit "$1/bin/switch-to-configuration" "$2"
}

generations() {
  nix-env --profile $profile --list-generations
}

if [ "$action" = list-generations ]; then
  generations
  exit 0
fi

if [ -n "$rollback" ]; then
  previous=$(generations | sed -n '/(current)/q;p' | tail -n 1 | sed 's/^ *\([0-9]*\) .*/\1/')
  if [ -z "$previous" ]; then
    echo "error: no generation older than the current one exists" >&2
    exit 1
  fi
  system=$(readlink -f "$profile-$previous-link")
  case $action in
    switch | boot) nix-env --profile $profile --switch-generation "$previous" ;;
    build) ln -sfn "$system" result ;;
  esac
else
  echo "building the system configuration..." >&2
  before_evaluation
  case $action in
    build) system=$(build "$@") ;;
    dry-build)
      build --dry-run "$@"
      exit
      ;;
    *) system=$(if [ -n "$flake" ]; then build --no-link "$@"; else build --no-out-link "$@"; fi) ;;
  esac
  case $action in
    switch | boot) nix-env --profile $profile --set "$system" ;;
  esac
fi

case $action in
  switch | boot | test | dry-activate)
    status=0
    activate "$system" "$action" || status=$?
    if [ $status != 0 ]; then
      echo "Command '['systemd-run', …, '$system/bin/switch-to-configuration', '$action']' returned non-zero exit status $status." >&2
      exit $status
    fi
    ;;
esac
if [ "$action" != dry-activate ]; then
  printf 'Done. The new configuration is ' >&2
  echo "$system"
fi
