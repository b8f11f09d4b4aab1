#!/bin/sh
# The helper of pulumi-nixos-cache on a machine. Every step of `pulumi up` is one call of it:
#
#   settings ROLE       make the machine a server or a client; stdin: the settings, one line of JSON; of a server that is
#                       to be a client too, another line
#   remove-settings ROLE
#   signing NAME        stdin: the settings, then the signing key as `nix key generate-secret` prints it
#   remove-signing NAME
#   identity            stdin: the settings, a line for each server, an empty line, the SSH private key; says the key in use
#   remove-identity
#   authorize           stdin: an SSH public key, which may read from now on
#   access SIGNING-KEY  stdin: the same; the client reads with it and trusts that key, so what it had before goes
#   admit SIGNING-KEY   stdin: the signing key that a client of another stack trusts, or an empty line, then its SSH public
#                       keys: these may read, and no others of that client; SIGNING-KEY is the newest
#   revoke              takes away all keys of a client
#   observe             says what is not as these steps left it
#   plan ROLE           stdin: the settings; says what a rebuild with them would do
#
# The steps `trial ID` and `revert ID` run in a unit of systemd on the machine itself (trial-unit.sh).
#
# A step may be cut off anywhere and run again: each one starts from whatever it finds. Stdin may end early with the
# connection, so everything read from it is checked before it is used.
set -eu
# Git, nixos-rebuild and the activation work as ever; what is secret is written under a umask of its own.
umask 022

# A non-interactive login may have a bare PATH; on NixOS the system's programs are here.
PATH=/run/current-system/sw/bin:/run/wrappers/bin:$PATH
LC_ALL=C
export PATH LC_ALL

# A dropped connection must not stop a step half-way.
trap '' HUP PIPE

nixos=/etc/nixos
# Where its flake is a link, the configuration is the folder in which its owner keeps that (nixos-rebuild(8)); whose the
# link is may not choose somebody else's.
if [ -L $nixos/flake.nix ]; then
  linked=$(dirname "$(readlink -f $nixos/flake.nix)")
  whose=$(stat -L -c %u $nixos)
  if [ "$whose" = 0 ] || [ "$(stat -c %u "$linked")" = "$whose" ]; then nixos=$linked; fi
fi
ours=$nixos/nixos-cache
# It would take the place of the configuration that is to be built, of a copy too.
owners_nixos_config=${NIXOS_CONFIG-}
unset NIXOS_CONFIG
data=/var/lib/nixos-cache
profile=/nix/var/nix/profiles/system
current=/run/current-system
run=/run/nixos-cache

here=$(cd "$(dirname "$0")" && pwd)
for part in words options files lines git owners nix-conf authorized-keys sessions signing identity settings build \
  specialisation edits copy trial trial-unit service observe plan; do
  # shellcheck source=/dev/null # checked as one text (test/run.ts)
  . "$here/$part.sh"
done

# Not in $run: a look at a machine (observe, plan) leaves nothing there.
work=$(mktemp -d "$run-work.$$.XXXXXX")
log=$work/log
seen=$work/ours
# Not in /run, which is memory; and where only root can make a folder.
tree=$data-copy.$$.${work##*.}
trap finish EXIT
trap 'exit 143' INT TERM

# However a step ends: files that it has changed are put back, unless a trial has taken them over (begin_trial). What is
# called here says `return 0`: in a trap, `return` alone gives the status from before.
finish() {
  status=$?
  trap - EXIT
  # As far as it goes, on a full disk for example; the next step does the rest.
  if [ -n "$began" ] && put_files_back; then close_trial; fi
  rm -rf "$work" "$tree"
  exit "$status"
}

# What steps that were killed have left: each folder has the number of its process.
for left in "$run"-work.* /var/lib/nixos-cache-copy.*; do
  process=${left#*.}
  if [ -e "$left" ] && [ ! -d "/proc/${process%%.*}" ]; then rm -rf "$left"; fi
done

step=${1-}
[ $# -eq 0 ] || shift
case $step in
  settings | remove-settings | signing | remove-signing | access | admit | plan | trial | revert)
    about=${1-}
    [ $# -eq 0 ] || shift
    ;;
  *) about= ;;
esac
read_options "$@"

# A helper that arrived in part does nothing.
(cd "$here/.." && sha256sum --check --status SHA256SUMS) || fail "the helper did not arrive whole: run \`pulumi up\`"

case $step:$about in
  settings:server | settings:client) settings "$about" ;;
  remove-settings:server | remove-settings:client) remove_settings "$about" ;;
  signing:?*) signing "$about" ;;
  remove-signing:?*) remove_signing "$about" ;;
  identity:) identity ;;
  remove-identity:) remove_identity ;;
  authorize:) authorize ;;
  access:?*) access "$about" ;;
  admit:?*) admit "$about" ;;
  revoke:) revoke ;;
  observe:) observe ;;
  plan:server | plan:client) plan "$about" ;;
  trial:?*) trial "$about" ;;
  revert:?*) revert "$about" ;;
  *) fail "the helper knows no step $step $about" ;;
esac
exit 0
