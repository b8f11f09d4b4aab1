# Files of ours in /var/lib/nixos-cache: written whole, under a lock, and remembered.

# write MODE FILE: stdin becomes FILE, whole or not at all.
write() {
  next=${2%/*}/.${2##*/}.new
  # Joined, for `set -e` does not hold in a function that is called as a condition.
  (umask 077 && cat >"$next") && chmod "$1" "$next" && sync "$next" && mv -f "$next" "$2" && sync "${2%/*}"
}

# put MODE FILE: stdin becomes FILE, and is what is expected of it.
put() {
  lock_data
  write "$1" "$2"
  expect "$2"
  unlock_data
}

# drop FILE…
drop() {
  lock_data
  rm -f "$@"
  expect "$@"
  unlock_data
}

# remove_folder FOLDER: with what is in it. A mount of the owner's, as of what outlives a start (impermanence), stays, empty.
remove_folder() {
  rm -rf "$1" 2>"$log" || [ -z "$(ls -A "$1")" ] || fail "$1 cannot be removed" "$(last_lines)"
}

# make_data_folder: what somebody has opened is root's alone again, and what others have to read they can.
make_data_folder() {
  mkdir -p "$data/secret/signing"
  # Other steps are at work here: a file may be gone before it is looked at, which is no reason to fail.
  {
    find "$data" ! -type l ! -user root -exec chown root: '{}' +
    find "$data" ! -type l -perm /022 -exec chmod go-w '{}' +
    find "$data/secret" ! -type l -perm /077 -exec chmod go= '{}' +
  } 2>"$log" || :
  chmod 755 "$data"
  for file in "$data/authorized_keys" "$data/nix.conf"; do
    if [ -f "$file" ] && [ ! -L "$file" ]; then chmod 644 "$file"; fi
  done
}

# Two locks, on files that only root can open: nobody else can hold one. A step that needs both takes the system's
# first. `lock` keeps it until the step ends, or `unlock`; what outlives a step gets neither (8>&- 9>&-).
system_locked=
lock_system() {
  if try_lock_system; then return; fi
  say "waiting for another step on this machine"
  flock 9
  system_locked=yes
}

# try_lock_system: whether it is this step's now, or was before.
try_lock_system() {
  [ -z "$system_locked" ] || return 0
  make_run_folder
  (umask 077 && : >>"$run/system.lock")
  exec 9>>"$run/system.lock"
  flock --nonblock 9 || return
  system_locked=yes
}

lock_data() {
  make_run_folder
  (umask 077 && : >>"$run/data.lock")
  exec 8>>"$run/data.lock"
  flock --timeout 120 8 || fail "another step on this machine does not end: run \`pulumi up\` again"
}

make_run_folder() {
  (umask 022 && mkdir -p "$run")
}

unlock_data() {
  exec 8>&-
}

# expect FILE…: from now on these are to stay as they are, or stay away; `expected` has their hashes, as sha256sum
# prints them, for `observe`.
expect() {
  { cat "$data/expected" 2>/dev/null || :; } >"$work/expected"
  for it in "$@"; do
    { grep -vx ".\{64\}  $it" "$work/expected" || :; } >"$work/expected.next"
    if [ -e "$it" ]; then sha256sum "$it" >>"$work/expected.next"; fi
    mv "$work/expected.next" "$work/expected"
  done
  write_expected
}

# $work/expected becomes what is expected, in the order of its names.
write_expected() {
  sort -k2 -o "$work/expected" "$work/expected"
  cmp -s "$work/expected" "$data/expected" || write 644 "$data/expected" <"$work/expected"
}

# forget FOLDER: whatever becomes of the files in it.
forget() {
  [ -e "$data/expected" ] || return 0
  grep -vF "  $1/" "$data/expected" >"$work/expected" || :
  cmp -s "$work/expected" "$data/expected" || write 644 "$data/expected" <"$work/expected"
}

# is_expected FILE: whether it is as a step left it.
is_expected() {
  [ -f "$1" ] && [ ! -L "$1" ] && grep -sx ".\{64\}  $1" "$data/expected" | sha256sum --check --status 2>/dev/null
}
