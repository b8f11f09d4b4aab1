# Which SSH keys may read from a server.

# read_public_key: sets $public_key from stdin, and $key_in_words as `ssh-keygen -l` prints it.
read_public_key() {
  cat >"$work/key.pub"
  ssh-keygen -l -f "$work/key.pub" >"$log" 2>&1 || fail "the public key did not arrive whole" "$(last_lines)"
  public_key=$(first_line "$work/key.pub")
  key_in_words=$(first_line "$log")
}

authorize() {
  read_public_key
  lock_files
  keep "authorized/$1.pub"
  if [ ! -e "$public/default.nix" ]; then print_module | place default.nix; fi
  if [ ! -e "$public/authorized/$1.pub" ]; then record "authorized $key_in_words"; fi
  printf '%s\n' "$public_key" | place "authorized/$1.pub"
  sync_index
  unlock_files
  # On a machine that does not serve yet, the step that makes it a server rebuilds it.
  if [ -e "$public/server.json" ]; then rebuild_or_put_back left-to-confirm; fi
  forget_kept
  restore_access
}

# A key that comes back, for example with a restored state, is no longer revoked.
restore_access() {
  lock_files
  if grep -qsxF -- "$public_key" "$private/revoked_keys"; then
    # 1: no other key is left. Anything else is a failure, and must not empty the list.
    grep -vxF -- "$public_key" "$private/revoked_keys" >"$work/revoked_keys" || [ $? -eq 1 ]
    write_revoked_keys
  fi
  unlock_files
}

# sshd refuses every key of nix-ssh while this file is missing. A key that was revoked stays so, whatever has
# become of the file.
restore_revoked_keys() {
  lock_files
  for list in "$private/revoked_keys" "$private/expected/revoked_keys"; do
    if [ -e "$list" ]; then cat "$list"; fi
  done | sort -u >"$work/revoked_keys"
  if ! cmp -s "$work/revoked_keys" "$private/revoked_keys" || [ ! -e "$private/expected/revoked_keys" ]; then
    write_revoked_keys
  fi
  unlock_files
}

# A key that none of our steps has authorized.
remove_strange_keys() {
  for file in "$public"/authorized/*.pub; do
    name=authorized/${file##*/}
    if [ -e "$file" ] && [ ! -e "$private/expected/$name" ]; then
      keep "$name"
      rm -f "$file"
      record "removed $name, which was added by hand"
    fi
  done
}

write_revoked_keys() {
  write 600 "$private/revoked_keys" <"$work/revoked_keys"
  write 600 "$private/expected/revoked_keys" <"$work/revoked_keys"
}

# The client has begun to read with this key: its others are of no more use to it. Only here is a key
# known to be replaced, whatever became of the update that brought it.
in_use() {
  read_public_key
  if ! is_accepted; then
    rebuild_or_put_back self
    is_accepted || fail "sshd on this machine does not take the key $1 for nix-ssh"
  fi
  names_of "$(client_of "$1")" | grep -vxF -- "$1" >"$work/names" || :
  : >"$work/keys"
  revoke_keys
}

is_accepted() {
  grep -qsF -- "$public_key" /etc/ssh/authorized_keys.d/nix-ssh
}

# revoke CLIENT: all its keys; the one in stdin also where somebody has removed its file.
revoke() {
  read_public_key
  names_of "$1" >"$work/names"
  printf '%s\n' "$public_key" >"$work/keys"
  revoke_keys
}

# client_of NAME: a key is named <client>-<fingerprint>, and the fingerprint has 43 characters.
client_of() {
  echo "${1%-???????????????????????????????????????????}"
}

# The names of a client's keys, also of one whose file somebody has removed.
names_of() {
  for file in "$public/authorized/$1"-*.pub "$private/expected/authorized/$1"-*.pub; do
    name=${file##*/}
    name=${name%.pub}
    # Another client's name may begin like this one's.
    if [ -e "$file" ] && [ "$(client_of "$name")" = "$1" ]; then echo "$name"; fi
  done | sort -u
}

# Revokes the keys in $work/keys and those with a name in $work/names.
revoke_keys() {
  lock_files
  while read -r name; do
    for file in "$public/authorized/$name.pub" "$private/expected/authorized/$name.pub"; do
      if [ -e "$file" ]; then cat "$file" >>"$work/keys"; fi
    done
  done <"$work/names"
  if [ -s "$work/keys" ]; then add_to_revoked_keys; fi
  unlock_files
  if [ -s "$work/keys" ]; then end_sessions; fi
  if [ ! -s "$work/names" ]; then return; fi
  # From here on it is only tidying: the keys are dropped from the files, and from the next system with them.
  lock_system
  lock_files
  if is_applied "$(fingerprint_of_files "$public")"; then was_applied=yes; else was_applied=no; fi
  while read -r name; do rm -f "$public/authorized/$name.pub"; done <"$work/names"
  leave_no_empty_folder
  sync_index
  # Last, for a step that is cut off before finds the rest of its work by them.
  while read -r name; do expect "authorized/$name.pub"; done <"$work/names"
  if [ "$was_applied" = yes ]; then note_applied "$(fingerprint_of_files "$public")"; fi
  unlock_files
  unlock_system
}

add_to_revoked_keys() {
  : >"$work/revoked_before"
  if [ -e "$private/revoked_keys" ]; then sort -u "$private/revoked_keys" >"$work/revoked_before"; fi
  sort -u "$work/keys" "$work/revoked_before" >"$work/revoked_keys"
  if cmp -s "$work/revoked_keys" "$private/revoked_keys"; then return; fi
  write_revoked_keys
  sort -u "$work/keys" | comm -23 - "$work/revoked_before" >"$work/revoked_now"
  ssh-keygen -l -f "$work/revoked_now" | while read -r words; do
    record "revoked $words"
    say "revoked $words"
  done
}

# Ends every connection of nix-ssh that has not come by a key that is still good. One that is only being made may have
# been let in before the key was revoked: it has a moment to show its key.
end_sessions() {
  deadline=$(($(uptime_seconds) + 5))
  connections=$(pgrep -f '^sshd(-session)?: nix-ssh \[priv\]' || :)
  while [ -n "$connections" ]; do
    undecided=
    for connection in $connections; do
      used=$(key_of "$connection")
      if [ -n "$used" ] && ! grep -qF -- "$used" "$private/revoked_keys"; then continue; fi
      if [ -z "$used" ] && [ "$(uptime_seconds)" -lt "$deadline" ]; then
        if [ -d "/proc/$connection" ]; then undecided="$undecided $connection"; fi
      else
        end_connection "$connection"
      fi
    done
    connections=$undecided
    if [ -n "$connections" ]; then sleep 0.1; fi
  done
}

# key_of CONNECTION: `type base64`. sshd names it to the processes of a session (sshd_config(5), ExposeAuthInfo); a
# connection without a session, which could open one at any time, has none.
key_of() {
  for user in $(pgrep -P "$1" || :); do
    for process in $(pgrep -P "$user" || :); do
      auth=$(environment_of "$process" SSH_USER_AUTH)
      sed -n 's/^publickey //p' "${auth:-/dev/null}" 2>"$work/none" | cut -d' ' -f1,2
    done
  done | head -n 1
}

# The part of sshd that runs as nix-ssh, and the one that watches it.
end_connection() {
  for process in $(pgrep -P "$1" || :) "$1"; do
    kill "$process" 2>"$work/none" || :
  done
}
