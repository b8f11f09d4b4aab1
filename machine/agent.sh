# The one helper of pulumi-nixos-cache on a machine. Every step of `pulumi up` is one call of it:
#
#   agent settings ROLE            ROLE is server or client; stdin: its settings, JSON; rebuilds, on trial
#   agent confirm ROLE             stdin: the same; over a new connection: the trial is over
#   agent remove-settings ROLE     rebuilds
#   agent signing-key NAME         stdin: the secret key, as `nix key generate-secret` prints it
#   agent remove-signing-key NAME
#   agent authorize NAME           stdin: the public key, one line; NAME is <client>-<fingerprint>; rebuilds
#   agent in-use NAME              stdin: the same; the client reads with it, so its other keys are revoked
#   agent revoke CLIENT            stdin: the same; revokes all its keys, at once and without a rebuild
#   agent identity                 stdin: `address port host-key` of each server, an empty line, the private key
#   agent remove-identity
#   agent remove                   whatever is left of us, once no settings are
#   agent observe                  says what is not as these steps left it
#   agent plan ROLE                stdin: settings; says what a rebuild with them would do
#
# On the machine itself:
#   agent switch, agent revert     in a unit of systemd: a change on trial, and its end (switch.sh)
#
# A step may be cut off anywhere and run again: each one starts from whatever it finds. Stdin may end early
# with the connection, so everything read from it is checked before it is used.
# agent.ts joins this text, a function `print_module` with the NixOS module, and the parts beside it.
set -eu
# Git, nixos-rebuild and the activation work as ever; what is secret is written under a umask of its own.
umask 022

# A non-interactive login may have a bare PATH; on NixOS the system's programs are here.
PATH=/run/current-system/sw/bin:/run/wrappers/bin:$PATH
# Names of files sort as in the module.
LC_ALL=C
export PATH LC_ALL

# A dropped connection must not stop a step half-way.
trap '' HUP PIPE

nixos=/etc/nixos
public=$nixos/nixos-cache
private=/var/lib/nixos-cache
profile=/nix/var/nix/profiles/system

work=$(mktemp -d /run/nixos-cache.XXXXXX)
kept=
repository=
system_locked=
reason=
trap finish EXIT
trap 'exit 143' INT TERM
log=$work/log

# --- Words to the person at `pulumi up`. Lines stay short: a very long one would hang the plugin. ---

say() {
  printf '%.400s\n' "$*" || :
}

fail() {
  printf '%s\n' "$@" | cut -c1-400 >&2 || :
  exit 1
}

last_lines() {
  printf '%s\n' '--- last lines:'
  tail -n 15 "$log" | cut -c1-400
}

# first_line FILE: nothing where there is none.
first_line() {
  line=
  { read -r line <"$1"; } 2>"$work/none" || :
  printf '%s\n' "$line"
}

# environment_of PROCESS NAME: the value of a variable there; nothing where there is none.
environment_of() {
  tr '\0' '\n' <"/proc/$1/environ" 2>"$work/none" | sed -n "s/^$2=//p"
}

# record WORDS: a line in the log that a person may read, never with a secret.
record() {
  (umask 077 && printf '%s %s\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$*" >>"$private/log")
}
