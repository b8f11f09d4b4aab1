# The keys that a server signs its store with. Each stands in a file that has its name; nix.conf lists them, the newest
# first, and before them `newest`, a copy of that one. A build has the list as it was when it began, and reads the files
# when it ends: by the copy, one that began before a rotation signs with the new key too. And it fails where a file of its
# list is missing: so the file of a key that is used no more is not deleted, it becomes the newest key.
signing=$data/secret/signing

# signing NAME: the key signs from now on, beside those before it. It also confirms the server's settings, over the new
# connection that it comes by.
signing() {
  IFS= read -r settings || :
  printf '%s\n' "$settings" >"$work/settings"
  (umask 077 && cat >"$work/key")
  [ "$(nix_command key convert-secret-to-public <"$work/key" 2>"$log" | cut -d: -f1)" = "$1" ] ||
    fail "the signing key $1 did not arrive whole" "$(last_lines)"
  confirm server "$work/settings"
  make_data_folder
  # The settings may have stopped to let in some keys.
  if lets_in_only_ours; then end_access_of_others; else end_sessions 0; fi
  lock_data
  drop_old_files
  if ! is_signing_key "$1" "$work/key"; then
    put_signing_key "$1" "$work/key"
    record "signing key $1 installed"
  fi
  if ! is_signing_key newest "$work/key"; then put_signing_key newest "$work/key"; fi
  # shellcheck disable=SC2046 # names of keys are words
  list_signing_keys "$1" $(signing_keys | grep -vxF -- "$1")
  unlock_data
  sign_store "$1"
}

# is_signing_key NAME FILE: whether the file of that name has this key.
is_signing_key() {
  cmp -s "$2" "$signing/$1" && is_expected "$signing/$1"
}

# put_signing_key NAME FILE: the lock on the data is held, as in all that follows.
put_signing_key() {
  write 600 "$signing/$1" <"$2"
  expect "$signing/$1"
}

# remove_signing NAME: it signs no more, once no client needs it.
remove_signing() {
  cat >/dev/null
  if [ ! -e "$signing/$1" ] && ! grep -qsF "$signing/$1" "$data/nix.conf" "$data/expected"; then return; fi
  newest=$(signing_keys | sed -n 1p)
  if [ "$newest" != "$1" ] && [ -n "$newest" ]; then
    retire_signing_keys
    if signing_keys | grep -qxF -- "$1"; then say "$1 goes on signing until every client trusts $newest"; fi
  elif ! belongs_to_another server; then
    lock_data
    set_nix_conf extra-secret-key-files ''
    # shellcheck disable=SC2046 # names of files without spaces
    drop "$signing"/* $(sed -n "s|^.\{64\}  \($signing/\)|\1|p" "$data/expected")
    record "signing key $1 removed"
  fi
}

# retire_signing_keys: only the newest key signs from now on, and those that a client still trusts in its place.
retire_signing_keys() {
  lock_data
  newest=$(signing_keys | sed -n 1p)
  if [ -n "$newest" ]; then
    {
      echo "$newest"
      trusted_keys
    } >"$work/needed"
    # shellcheck disable=SC2046
    list_signing_keys $(signing_keys | grep -xFf "$work/needed")
    unlisted_files | while read -r old; do
      # What was put there by hand is no key of ours: it goes with the next one (drop_old_files).
      if cmp -s "$signing/newest" "$signing/$old"; then
        expect "$signing/$old"
      elif is_expected "$signing/$old"; then
        put_signing_key "$old" "$signing/newest"
        record "signing key $old removed"
      fi
    done
  fi
  unlock_data
}

# list_signing_keys NAME…: none, if there is none.
list_signing_keys() {
  files=
  if [ $# -gt 0 ]; then files=$(printf '%s\n' newest "$@" | sed "s|^|$signing/|" | tr '\n' ' '); fi
  set_nix_conf extra-secret-key-files "${files% }"
}

# The names that a step has written to nix.conf, the newest first; without what somebody else has put in the place of a
# key.
signing_keys() {
  expected_lines nix.conf | sed -n 's/^extra-secret-key-files = //p' | tr ' ' '\n' | while read -r file; do
    if [ "$file" != "$signing/newest" ] && is_expected "$file"; then echo "${file##*/}"; fi
  done
}

# key_before NAME: the signing key that came before it; the same, where there is no other.
key_before() {
  signing_keys | grep -vxF -- "$1" | sed -n 1p | grep . || echo "$1"
}

# Names of files that are not the keys in nix.conf.
unlisted_files() {
  {
    echo newest
    signing_keys
  } >"$work/listed"
  find "$signing" -mindepth 1 ! -name '.*' -printf '%f\n' | grep -vxFf "$work/listed" || :
}

# What was put there by hand goes, and what is left of keys that have gone, but for three of them, the latest: a build
# that goes on through four rotations is not to be expected.
drop_old_files() {
  # Of a `write` that was cut off.
  rm -f "$signing"/.*.new
  unlisted_files | sort -r | while read -r old; do
    if is_expected "$signing/$old" && [ "${stay:=0}" -lt 3 ]; then
      stay=$((stay + 1))
    else
      # Not before nix.conf has let go of it.
      # shellcheck disable=SC2046
      list_signing_keys $(signing_keys)
      rm -rf "${signing:?}/$old"
      expect "$signing/$old"
    fi
  done
}

# sign_store NAME: what was built before the daemon had the key carries no signature of it. Later builds are signed by
# the daemon, so this comes after: no path falls in between.
sign_store() {
  say "signing the store with $1"
  nix_command store sign --all --key-file "$signing/$1" >"$log" 2>&1 || fail "signing the store failed" "$(last_lines)"
}

nix_command() {
  nix --extra-experimental-features nix-command "$@"
}
