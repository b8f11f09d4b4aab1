# The keys that a server signs its store with.

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
  replace_strange_keys
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
  expect_signing_keys
  sign_store
}

# What somebody has put in the place of a key of ours is not to sign anything.
replace_strange_keys() {
  for place in 0 1 2 3; do
    if [ -n "$(strange_secret "signing/$place")" ]; then
      write 600 "$private/signing/$place" <"$new"
      record "signing key in place $place, which was changed by hand, replaced"
    fi
  done
}

expect_signing_keys() {
  for place in 0 1 2 3; do expect_secret "signing/$place"; done
}

remove_signing_key() {
  if [ ! -e "$private/signing/0" ]; then return; fi
  if [ "$(key_name "$private/signing/0")" = "$1" ]; then
    rm -f "$private"/signing/*
  else
    # Once more, for what was being built when the new key came.
    sign_store
    # What stands behind it is older: nobody trusts that alone any more. So a key goes too that the state has
    # lost track of.
    found=
    for place in 1 2 3; do
      if [ "$(key_name "$private/signing/$place")" = "$1" ]; then found=yes; fi
      if [ -n "$found" ]; then write 600 "$private/signing/$place" <"$private/signing/0"; fi
    done
    if [ -z "$found" ]; then return; fi
  fi
  expect_signing_keys
  record "signing key $1 removed"
}

key_name() {
  cut -d: -f1 "$1"
}

# What was built before the daemon had the key carries no signature of it. Later builds are signed by the
# daemon, so this comes after: no path falls in between.
sign_store() {
  say "signing the store with $(key_name "$private/signing/0")"
  nix --extra-experimental-features nix-command store sign --all --key-file "$private/signing/0" >"$log" 2>&1 ||
    fail "signing the store failed" "$(last_lines)"
}
