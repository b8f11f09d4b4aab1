# Which SSH keys may read from a server: /var/lib/nixos-cache/authorized_keys, which sshd reads at each login of
# nix-ssh. A line is `type base64 STACK COMPONENT`; the last two words name the client whose key it is. Of a client that
# has begun to read with its key the line is `type base64 SIGNING-KEY STACK COMPONENT`: the third word names the signing
# key that this client trusts, which therefore has to go on signing (signing.sh).
keys=$data/authorized_keys

# public_key_from_stdin: prints `type base64`.
public_key_from_stdin() {
  cat >"$work/key.pub"
  ssh-keygen -l -f "$work/key.pub" >"$log" 2>&1 || fail "the public key did not arrive whole" "$(last_lines)"
  cut -d' ' -f1,2 "$work/key.pub"
}

# fingerprints FILE: a line for each key, as `ssh-keygen -l` prints it.
fingerprints() {
  ssh-keygen -l -f "$1" 2>/dev/null || :
}

authorize() {
  key=$(public_key_from_stdin)
  refuse_another_stacks server
  make_data_folder
  lock_data
  known=$(line_of "$key")
  if [ -z "$known" ]; then
    record "authorized $(fingerprints "$work/key.pub")"
  elif has_expected_lines authorized_keys; then
    return
  fi
  write_lines authorized_keys "${known:-$key $(trusted_by "$key")$owner}" other_lines "$key" ''
  expect_lines authorized_keys
}

# line_of KEY: the owner's line with that key; nothing where there is none.
line_of() {
  { cat "$keys" 2>/dev/null || :; } |
    key=$1 owner=$owner awk '$1 " " $2 == ENVIRON["key"] && NF > 3 && $(NF - 1) " " $NF == ENVIRON["owner"]'
}

# trusted_by KEY: the signing key that the client trusts, and a space; nothing where nobody knows. Its component may have
# had another name.
trusted_by() {
  { cat "$keys" 2>/dev/null || :; } | key=$1 awk '$1 " " $2 == ENVIRON["key"] && NF == 5 { printf "%s ", $3 }'
}

# other_lines KEY OWNER: a filter, without the lines of that key, and without that owner's.
other_lines() {
  key=$1 owner=$2 awk 'NF > 3 && $1 " " $2 != ENVIRON["key"] && $(NF - 1) " " $NF != ENVIRON["owner"]'
}

# access SIGNING-KEY: the client has begun to read with this key, and trusts that signing key. Its other keys are of no
# more use to it: only here is a key known to be replaced, whatever became of the update that brought it. Should this one
# be missing, it comes back.
access() {
  key=$(public_key_from_stdin)
  refuse_another_stacks server
  make_data_folder
  if [ -z "$(line_of "$key")" ]; then say "the client's key was missing, it is back"; fi
  keep_lines 60 "$key $1 $owner" other_clients "$key"
}

# other_clients KEY: a filter, without the lines of that key, and without this client's. A line with its name of another
# stack is from before this one took the server over.
other_clients() {
  key=$1 client=${owner#* } awk 'NF > 3 && $1 " " $2 != ENVIRON["key"] && $NF != ENVIRON["client"]'
}

# admit SIGNING-KEY: the keys of a client in another stack. It is let in with these alone. What it trusts that stack has said; or
# else nobody knows, and it is taken to have missed the last rotation and none before: the key before SIGNING-KEY, the
# newest, goes on signing for it.
admit() {
  IFS= read -r trusted || fail "the client's keys did not arrive whole"
  case $trusted in *[!A-Za-z0-9_.-]*) fail "$trusted is no name of a signing key" ;; esac
  if [ -z "$trusted" ]; then trusted=$(key_before "$1"); fi
  cat >"$work/keys.pub"
  while read -r key; do
    printf '%s\n' "$key" >"$work/key.pub"
    ssh-keygen -l -f "$work/key.pub" >"$log" 2>&1 || fail "the public key did not arrive whole" "$(last_lines)"
    printf '%s %s\n' "$(cut -d' ' -f1,2 "$work/key.pub")" "$trusted $owner"
  done <"$work/keys.pub" >"$work/admitted"
  refuse_another_stacks server
  make_data_folder
  # Where others stay, this one was renewed.
  if [ -s "$work/admitted" ]; then patience=60; else patience=0; fi
  keep_lines "$patience" "$(sort -u "$work/admitted")" other_clients ''
}

# trusted_keys: the signing keys that clients trust, each by its name.
trusted_keys() {
  expected_lines authorized_keys | awk 'NF == 5 { print $3 }'
}

# All keys of the owner, and nobody else's. It is the first step that is undone, so it says what to do about others that
# cannot be undone now.
revoke() {
  cat >/dev/null
  [ -d "$data" ] || return 0
  keep_lines 0 '' other_lines '' "$owner"
  if [ "$may_be_off" = yes ]; then
    client=${owner#* }
    client=${client%%@*}
    say "the access of $client has ended; if it is off, what stands on it cannot be taken away now, and that fails: run the same again when it is on"
    say "(if $client will not come back, put gone: true into its entry and run \`pulumi up\`, then the same again)"
  fi
}

# lets_in_only_ours: whether the running system's nix-ssh knows no keys but those in our list.
lets_in_only_ours() {
  grep -qs '"onlyOurKeys":true' "$current/etc/nixos-cache/server.json"
}

# end_access_of_others: what another stack has left in the list goes, and whoever has come in by another way.
end_access_of_others() {
  keep_lines 0 '' lines_of "${owner%% *}"
}

# lines_of STACK: a filter.
lines_of() {
  stack=$1 awk 'NF > 3 && $(NF - 1) == ENVIRON["stack"]'
}

# keep_lines SECONDS LINE FILTER…: the list is that line and what the filter lets through; who came by another key is
# sent away, a fetch after so many seconds at the latest. A signing key that no client needs any more goes too.
keep_lines() {
  patience=$1
  shift
  lock_data
  cat "$keys" >"$work/before" 2>/dev/null || :
  write_lines authorized_keys "$@"
  expect_lines authorized_keys
  unlock_data
  cut -d' ' -f1,2 "$work/lines" >"$work/stay"
  grep -vFf "$work/stay" "$work/before" >"$work/dropped" || :
  fingerprints "$work/dropped" | while read -r fingerprint; do
    record "revoked $fingerprint"
    say "revoked $fingerprint"
  done
  end_sessions "$patience"
  retire_signing_keys
}
