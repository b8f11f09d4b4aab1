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
  keep "authorized/$1.pub"
  if [ ! -e "$public/default.nix" ]; then print_module | write 644 "$public/default.nix"; fi
  if [ ! -e "$public/authorized/$1.pub" ]; then record "authorized $1"; fi
  printf '%s\n' "$public_key" | write 644 "$public/authorized/$1.pub"
  sync_index
  unlock_files
  # On a machine that does not serve yet, the step that makes it a server rebuilds it.
  if [ -e "$public/server.json" ]; then rebuild_or_put_back; fi
  kept=
  restore_access
}

# A key that comes back, for example with a restored state, is no longer revoked.
restore_access() {
  lock_files
  if grep -qsxF -- "$public_key" "$private/revoked_keys"; then
    # 1: no other key is left. Anything else is a failure, and must not empty the list.
    grep -vxF -- "$public_key" "$private/revoked_keys" >"$work/revoked_keys" || [ $? -eq 1 ]
    write 600 "$private/revoked_keys" <"$work/revoked_keys"
  fi
  unlock_files
}

# The client has begun to read with this key: its others are of no more use to it. Only here is a key
# known to be replaced, whatever became of the update that brought it.
in_use() {
  read_public_key
  if ! is_accepted; then
    rebuild_or_put_back
    is_accepted || fail "sshd on this machine does not take the key $1 for nix-ssh"
  fi
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

is_accepted() {
  grep -qsF -- "$public_key" /etc/ssh/authorized_keys.d/nix-ssh
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
    : >"$work/revoked_keys"
    if [ -e "$private/revoked_keys" ]; then cat "$private/revoked_keys" >"$work/revoked_keys"; fi
    printf '%s\n' "$public_key" >>"$work/revoked_keys"
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

# Ends every connection of nix-ssh that is not known to have come by a key that is still good. sshd names the
# key to the processes of a session (sshd_config(5), ExposeAuthInfo), and a connection without a session, which
# could open one later, has none. A client that is cut off by this dials again.
end_sessions() {
  for connection in $(pgrep -u nix-ssh sshd 2>"$work/none" || :); do
    if ! came_by_good_key "$connection"; then kill "$connection" 2>"$work/none" || :; fi
  done
}

came_by_good_key() {
  for process in $(pgrep -P "$1" || :); do
    auth=$(tr '\0' '\n' <"/proc/$process/environ" 2>"$work/none" | sed -n 's/^SSH_USER_AUTH=//p')
    used=$(sed -n 's/^publickey //p' "${auth:-/dev/null}" 2>"$work/none" | cut -d' ' -f1,2)
    if [ -n "$used" ] && ! grep -qF -- "$used" "$private/revoked_keys"; then return 0; fi
  done
  return 1
}
