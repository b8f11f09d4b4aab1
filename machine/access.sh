# Which SSH keys may read from a server.

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
