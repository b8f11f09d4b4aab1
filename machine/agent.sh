# shellcheck shell=sh
# The one helper of pulumi-nixos-cache on a machine. Every step of `pulumi up` is one call of it:
#
#   agent settings ROLE            ROLE is server or client; stdin: its settings, JSON; rebuilds
#   agent remove-settings ROLE     rebuilds
#   agent signing-key NAME         stdin: the secret key, as `nix key generate-secret` prints it
#   agent remove-signing-key NAME
#   agent authorize NAME           stdin: the public key, one line; NAME is <client>-<fingerprint>; rebuilds
#   agent unauthorize NAME         stdin: the same; revokes the key, unless the client has it in use
#   agent in-use NAME              stdin: the same; the client reads with it, so its other keys are revoked
#   agent revoke NAME              stdin: the same; takes effect at once, without a rebuild
#   agent identity                 stdin: `address port host-key` of each server, an empty line, the private key
#   agent remove-identity
#   agent remove                   whatever is left of us, once no settings are
#
# A step may be cut off anywhere and run again: each one starts from whatever it finds. Stdin may end early
# with the connection, so everything read from it is checked before it is used.
# The program puts a function `print_module` (the NixOS module, as text) before this text.
set -eu
umask 077

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
trap 'rm -rf "$work"' EXIT
log=$work/log

# --- Words to the person at `pulumi up`. Lines stay short: a very long one would hang the plugin. ---

say() {
  printf '%s\n' "$*" | cut -c1-400 || :
}

fail() {
  printf '%s\n' "$@" | cut -c1-400 >&2 || :
  exit 1
}

last_lines() {
  printf '%s\n' '--- last lines:'
  tail -n 20 "$log" | cut -c1-400
}

# record WORDS: a line in the log that a person may read, never with a secret.
record() {
  printf '%s %s\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$*" >>"$private/log"
}

# --- Files ---

# write MODE FILE: stdin becomes FILE, whole or not at all.
write() {
  (umask 022 && mkdir -p "$(dirname "$2")")
  next=$(dirname "$2")/.$(basename "$2").new
  (umask 077 && cat >"$next")
  chmod "$1" "$next"
  sync "$next"
  mv -f "$next" "$2"
}

private_folder() {
  (umask 077 && mkdir -p "$private/$1")
}

# Files and git's index change under a lock of their own: steps on one machine run side by side. Both locks
# are on folders that are there anyway (flock(1)), so nothing of them is left, nor in the way of a removal.
lock_files() {
  exec 8<"$nixos"
  flock 8
}

unlock_files() {
  exec 8<&-
}

lock_system() {
  exec 9<"$(dirname "$profile")"
  flock 9
}

unlock_system() {
  exec 9<&-
}

# In a git repository Nix sees only files that the index names, so it follows what is on the disk
# (git-add(1), --intent-to-add).
sync_index() {
  if ! git -C "$nixos" rev-parse --git-dir >"$log" 2>&1; then
    if [ ! -e "$nixos/.git" ] || grep -q 'not a git repository' "$log"; then return; fi
    fail "git cannot read the repository in $nixos" "$(last_lines)"
  fi
  rm -f "$public"/.*.new "$public"/authorized/.*.new
  if [ -d "$public" ]; then
    git -C "$nixos" add --intent-to-add --force -- nixos-cache
  fi
  git -C "$nixos" ls-files --deleted -- nixos-cache | while read -r gone; do
    git -C "$nixos" reset --quiet -- "$gone"
  done
}

# keep FILE: remember it as it is, for put_back.
keep() {
  kept="${kept-} $1"
  if [ -e "$public/$1" ]; then
    mkdir -p "$work/kept/$(dirname "$1")"
    cp "$public/$1" "$work/kept/$1"
  fi
}

put_back() {
  lock_files
  for file in $kept; do
    if [ -e "$work/kept/$file" ]; then
      write 644 "$public/$file" <"$work/kept/$file"
    elif [ "$file" != default.nix ] || ! has_files; then
      rm -f "$public/$file"
    fi
  done
  leave_no_empty_folder
  sync_index
  unlock_files
}

leave_no_empty_folder() {
  for folder in "$public/authorized" "$public"; do
    if [ -d "$folder" ]; then rmdir --ignore-fail-on-non-empty "$folder"; fi
  done
}

has_settings() {
  [ -e "$public/server.json" ] || [ -e "$public/client.json" ]
}

# The folder may be imported already, so the module is there as long as any other file is.
has_files() {
  has_settings || [ -e "$public/authorized" ]
}

# --- The machine follows its files ---

# The hash of the files, computed as the module does; "none" where it has nothing to do.
fingerprint_of_files() {
  if ! has_settings; then
    echo none
    return
  fi
  (
    cd "$public"
    for file in authorized/*.pub client.json default.nix server.json; do
      if [ -e "$file" ]; then sha256sum "$file"; fi
    done
  ) | sha256sum | cut -d' ' -f1
}

# The same hash as a built system carries it.
fingerprint_of_system() {
  cat "$1/etc/nixos-cache/fingerprint" 2>"$work/none" || echo none
}

# `applied` names the files last activated and what the system says of them. The two differ after a
# revocation, which changes the files but waits for the next rebuild.
is_applied() {
  [ "$(cat "$private/applied" 2>"$work/none" || echo none none)" = "$1 $(fingerprint_of_system /run/current-system)" ]
}

record_applied() {
  printf '%s %s\n' "$1" "$(fingerprint_of_system /run/current-system)" | write 600 "$private/applied"
}

# Sets $system to what the configuration builds to.
build() {
  rm -f "$work/result"
  # No lock is handed on: whatever the build leaves running must not hold it.
  (cd "$work" && nixos-rebuild build) >"$log" 2>&1 </dev/null 8>&- 9>&- || return 1
  system=$(readlink -f "$work/result")
}

# rebuild: make the machine match its files, if it does not already. Steps that wait here for the lock
# find their work done by the first. Fails with the reason in $reason.
rebuild() {
  lock_system
  while :; do
    files=$(fingerprint_of_files)
    if is_applied "$files"; then
      unlock_system
      return 0
    fi
    say "building the configuration"
    if ! build; then
      reason=$(printf '%s\n' "the configuration does not build, nothing was switched" && last_lines)
      return 1
    fi
    # Files that came in the meantime are built too, before the switch rather than after it.
    [ "$(fingerprint_of_files)" != "$files" ] || break
  done
  check_import && activate && record_applied "$files" && unlock_system
}

check_import() {
  if [ "$(fingerprint_of_system "$system")" != "$files" ]; then
    reason="the configuration of this machine does not import nixos-cache, nothing was switched
Add this line to $nixos/configuration.nix, or to this machine's module in your flake, then run \`pulumi up\` again:
    imports = [ ./nixos-cache ];
(in a file of a folder below, ../nixos-cache: it is $public as seen from there)"
    return 1
  fi
}

activate() {
  before=$(readlink -f /run/current-system)
  if [ "$system" = "$before" ]; then
    return 0
  fi
  say "activating $system"
  if switch_to "$system"; then
    return 0
  fi
  reason=$(printf '%s\n' "activating $system failed" && last_lines)
  if switch_to "$before"; then
    reason="$reason
The machine is back on $before."
  else
    reason="$reason
Going back to $before failed too: \`nixos-rebuild switch --rollback\` on the machine may help."
  fi
  return 1
}

switch_to() {
  { nix-env --profile "$profile" --set "$1" && "$1/bin/switch-to-configuration" switch; } \
    >"$log" 2>&1 </dev/null 8>&- 9>&-
}

rebuild_or_put_back() {
  if ! rebuild; then
    put_back
    fail "$reason" "The files in $public are as they were."
  fi
}

# --- Steps ---

settings() {
  private_folder ssh
  private_folder signing
  # sshd refuses every key of nix-ssh while this file is missing.
  if [ "$1" = server ] && [ ! -e "$private/revoked_keys" ]; then
    write 600 "$private/revoked_keys" </dev/null
  fi
  lock_files
  keep "$1.json"
  keep default.nix
  print_module | write 644 "$public/default.nix"
  write 644 "$public/$1.json"
  sync_index
  unlock_files
  rebuild_or_put_back
  if [ "$1" = server ]; then sign_store; fi
}

# What was built before the daemon had the key carries no signature of it. Later builds are signed by the
# daemon, so this comes after: no path falls in between.
sign_store() {
  say "signing the store with $(key_name "$private/signing/0")"
  nix --extra-experimental-features nix-command store sign --all --key-file "$private/signing/0" >"$log" 2>&1 ||
    fail "signing the store failed" "$(last_lines)"
}

remove_settings() {
  lock_files
  keep "$1.json"
  rm -f "$public/$1.json"
  sync_index
  unlock_files
  rebuild_or_put_back
}

# The signing keys stand in places that never change, 0 to 3: the newest, then the older ones whose rotation
# has not ended; a place without a key of its own has a copy of the newest. The daemon signs with all of them
# and reads them at each signing (nix.conf(5), secret-key-files), so keys come and go without a rebuild, and
# no build ever meets a missing file.
signing_key() {
  private_folder signing
  new=$private/signing/new
  write 600 "$new"
  if ! nix --extra-experimental-features nix-command key convert-secret-to-public <"$new" >"$work/public" 2>"$log"; then
    rm -f "$new"
    fail "the signing key $1 did not arrive whole" "$(last_lines)"
  fi
  if ! cmp -s "$new" "$private/signing/0"; then
    for place in 2 1 0; do
      if [ -e "$private/signing/$place" ]; then
        write 600 "$private/signing/$((place + 1))" <"$private/signing/$place"
      else
        write 600 "$private/signing/$((place + 1))" <"$new"
      fi
    done
    write 600 "$private/signing/0" <"$new"
    record "signing key $1 installed"
  fi
  rm -f "$new"
  sign_store
}

remove_signing_key() {
  if [ ! -e "$private/signing/0" ]; then return; fi
  if [ "$(key_name "$private/signing/0")" = "$1" ]; then
    rm -f "$private"/signing/*
  else
    # Once more, for what was being built when the new key came.
    sign_store
    for place in 1 2 3; do write 600 "$private/signing/$place" <"$private/signing/0"; done
  fi
  record "signing key $1 removed"
}

key_name() {
  cut -d: -f1 "$1"
}

# read_public_key: sets $public_key from stdin.
read_public_key() {
  cat >"$work/key.pub"
  ssh-keygen -l -f "$work/key.pub" >"$log" 2>&1 || fail "the public key did not arrive whole" "$(last_lines)"
  public_key=$(cat "$work/key.pub")
}

authorize() {
  read_public_key
  lock_files
  # A key that comes back, for example with a restored state, is no longer revoked.
  if [ -e "$private/revoked_keys" ]; then
    { grep -vxF -- "$public_key" "$private/revoked_keys" || :; } >"$work/revoked_keys"
    write 600 "$private/revoked_keys" <"$work/revoked_keys"
  fi
  keep "authorized/$1.pub"
  if [ ! -e "$public/default.nix" ]; then print_module | write 644 "$public/default.nix"; fi
  if [ ! -e "$public/authorized/$1.pub" ]; then record "authorized $1"; fi
  printf '%s\n' "$public_key" | write 644 "$public/authorized/$1.pub"
  sync_index
  unlock_files
  # On a machine that does not serve yet, the step that makes it a server rebuilds it.
  if [ -e "$public/server.json" ]; then rebuild_or_put_back; fi
}

# The client has begun to read with this key: its others are of no more use to it. Only here is a key
# known to be replaced, whatever became of the update that brought it.
in_use() {
  read_public_key
  grep -qsF -- "$public_key" /etc/ssh/authorized_keys.d/nix-ssh ||
    fail "the key is not among those that nix-ssh takes: run \`pulumi up\` again"
  private_folder in-use
  write 600 "$private/in-use/$1" </dev/null
  # The fingerprint has 43 characters.
  client=${1%-???????????????????????????????????????????}
  for file in "$public/authorized/$client"-???????????????????????????????????????????.pub; do
    other=$(basename "$file" .pub)
    if [ "$other" != "$1" ] && [ -e "$file" ]; then
      cp "$file" "$work/key.pub"
      revoke_key "$other"
    fi
  done
}

unauthorize() {
  read_public_key
  if [ ! -e "$private/in-use/$1" ]; then revoke_key "$1"; fi
}

revoke() {
  read_public_key
  revoke_key "$1"
}

# revoke_key NAME: the key itself is in $work/key.pub.
revoke_key() {
  public_key=$(cat "$work/key.pub")
  lock_files
  if ! grep -qsxF -- "$public_key" "$private/revoked_keys"; then
    { cat "$private/revoked_keys" 2>"$work/none" || :; printf '%s\n' "$public_key"; } >"$work/revoked_keys"
    write 600 "$private/revoked_keys" <"$work/revoked_keys"
    record "revoked $1"
    say "revoked $(ssh-keygen -l -f "$work/key.pub")"
  fi
  rm -f "$private/in-use/$1"
  end_sessions
  unlock_files
  # From here on it is only tidying: the key is dropped from the files, and from the next system with them.
  lock_system
  lock_files
  if is_applied "$(fingerprint_of_files)"; then was_applied=yes; else was_applied=no; fi
  rm -f "$public/authorized/$1.pub"
  leave_no_empty_folder
  sync_index
  if [ "$was_applied" = yes ]; then record_applied "$(fingerprint_of_files)"; fi
  unlock_files
  unlock_system
}

# Ends the sessions that logged in with $public_key, and their connections.
# sshd names the key of a session in a file (sshd_config(5), ExposeAuthInfo).
end_sessions() {
  blob=$(cut -d' ' -f2 "$work/key.pub")
  for process in $(pgrep -u nix-ssh 2>"$work/none" || :); do
    auth=$(tr '\0' '\n' <"/proc/$process/environ" 2>"$work/none" | sed -n 's/^SSH_USER_AUTH=//p')
    if [ -n "$auth" ] && grep -qsF -- "$blob" "$auth"; then
      connection=$(ps -o ppid= -p "$process" | tr -d ' ')
      kill "$process" 2>"$work/none" || :
      case $(ps -o user= -p "${connection:-0}" || :) in nix-ssh) kill "$connection" 2>"$work/none" || : ;; esac
    fi
  done
}

identity() {
  private_folder ssh
  new=$private/ssh/identity.new
  : >"$work/servers"
  while read -r line && [ -n "$line" ]; do printf '%s\n' "$line" >>"$work/servers"; done
  write 600 "$new"
  if ! ssh-keygen -y -P '' -f "$new" >"$work/public" 2>&1; then
    rm -f "$new"
    fail "the private key did not arrive whole"
  fi
  while read -r address port host_key; do
    check_login
  done <"$work/servers"
  mv -f "$new" "$private/ssh/identity"
  sync "$private/ssh"
  record "identity $(ssh-keygen -l -f "$private/ssh/identity")"
}

# Reads from the cache with the new key and nothing else: not the configuration, not an older key.
check_login() {
  say "reading from $address with the new key"
  printf 'cache %s\n' "$host_key" >"$work/known_hosts"
  options="-F none -p $port -i $new -o IdentitiesOnly=yes -o BatchMode=yes -o ConnectTimeout=10"
  options="$options -o StrictHostKeyChecking=yes -o HostKeyAlias=cache -o UserKnownHostsFile=$work/known_hosts"
  options="$options -o GlobalKnownHostsFile=/dev/null -o LogLevel=ERROR"
  if ! NIX_SSHOPTS="$options" timeout 60 nix --extra-experimental-features nix-command \
    store info --store "ssh://nix-ssh@$address" >"$log" 2>&1 </dev/null; then
    rm -f "$new"
    fail "this machine cannot read from its cache $address, port $port; the identity file is as it was" "$(last_lines)"
  fi
}

remove_identity() {
  rm -f "$private/ssh/identity"
}

# Both parts of one machine, server and client, bring the agent; the last one takes it away.
remove() {
  lock_system
  if has_settings || [ ! -e "$private" ]; then return; fi
  lock_files
  if [ -e "$public/default.nix" ]; then
    rm -rf "$public"
    sync_index
    if ! build; then
      # The import stands in the owner's configuration, which has to go on building.
      print_module | write 644 "$public/default.nix"
      sync_index
      say "left an empty module in $public, since the configuration imports it:" \
        "remove the line that does, then the folder"
    fi
  fi
  rm -rf "$private"
}

# Nobody else reads stdin in these; left unread it could fail the command.
case ${1-} in
  remove* ) cat >/dev/null ;;
esac

case "$#:${1-}:${2-}" in
  2:settings:server | 2:settings:client) settings "$2" ;;
  2:remove-settings:server | 2:remove-settings:client) remove_settings "$2" ;;
  2:signing-key:*) signing_key "$2" ;;
  2:remove-signing-key:*) remove_signing_key "$2" ;;
  2:authorize:*) authorize "$2" ;;
  2:unauthorize:*) unauthorize "$2" ;;
  2:in-use:*) in_use "$2" ;;
  2:revoke:*) revoke "$2" ;;
  1:identity:) identity ;;
  1:remove-identity:) remove_identity ;;
  1:remove:) remove ;;
  *) fail "agent: unknown step: $*" ;;
esac
