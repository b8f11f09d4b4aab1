# The files on a machine: written whole, visible to git, put back when a step fails.

# write MODE FILE: stdin becomes FILE, whole or not at all.
write() {
  (umask 022 && mkdir -p "$(dirname "$2")")
  next=$(dirname "$2")/.$(basename "$2").new
  # Joined, for `set -e` does not hold in a function that is called as a condition.
  (umask 077 && cat >"$next") && chmod "$1" "$next" && sync "$next" && mv -f "$next" "$2" &&
    sync "$(dirname "$2")"
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
    git -C "$nixos" add --intent-to-add --ignore-removal --force -- nixos-cache
  fi
  git -C "$nixos" ls-files --deleted -- nixos-cache | while read -r gone; do
    git -C "$nixos" reset --quiet -- "$gone"
  done
}

# keep FILE: remember it as it is, for put_back.
keep() {
  kept="$kept $1"
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

# However a step ends: what it has kept is put back, unless the machine has come to follow the new files.
finish() {
  status=$?
  trap - EXIT
  if [ -n "$kept" ]; then put_back; fi
  rm -rf "$work"
  exit "$status"
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
