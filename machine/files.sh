# The files on a machine: written whole, visible to git, put back when a step fails.

# write MODE FILE: stdin becomes FILE, whole or not at all.
write() {
  into=${2%/*}
  next=$into/.${2##*/}.new
  # What is for root alone stands in folders for root alone.
  if [ ! -d "$into" ]; then (case $2 in "$private"/*) umask 077 ;; esac; mkdir -p "$into"); fi
  # Joined, for `set -e` does not hold in a function that is called as a condition.
  (umask 077 && cat >"$next") && { [ "$1" = 600 ] || chmod "$1" "$next"; } && sync "$next" && mv -f "$next" "$2" && sync "$into"
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

# Held already, it stays so: to open the folder again would let go of it.
lock_system() {
  if [ -n "$system_locked" ]; then return; fi
  exec 9<"${profile%/*}"
  flock 9
  system_locked=yes
}

unlock_system() {
  exec 9<&-
  system_locked=
}

# Sets $repository, the git directory of the configuration, which may be in a folder above, or elsewhere
# (gitrepository-layout(5)), and whose it is. Fails, with git's words in $log, where there is none.
find_repository() {
  if [ -n "$repository" ]; then return; fi
  git -c safe.directory='*' -C "$nixos" rev-parse --absolute-git-dir >"$work/repository" 2>"$log" || return
  repository=$(first_line "$work/repository")
  stat -c '%u %g %a' "$repository" >"$work/owner"
  read -r owner group mode <"$work/owner"
  owners_umask=$(printf %o $((0777 & ~0$mode)))
  owners_home=$(getent passwd "$owner" | cut -d: -f6)
}

# git in the repository of the configuration, as the user who owns it, so that nothing in it becomes root's, or more
# open than it is.
owner_git() {
  find_repository || return
  (
    umask "$owners_umask"
    export HOME="$owners_home"
    exec setpriv --reuid "$owner" --regid "$group" --clear-groups git -c safe.directory='*' -C "$nixos" "$@"
  )
}

# In a git repository Nix sees only files that the index names, so it follows what is on the disk
# (git-add(1), --intent-to-add).
sync_index() {
  rm -f "$public"/.*.new "$public"/authorized/.*.new
  if ! find_repository; then
    if [ ! -e "$nixos/.git" ] || grep -q 'not a git repository' "$log"; then return; fi
    fail "git cannot read the repository in $nixos" "$(last_lines)"
  fi
  if [ -d "$public" ]; then
    owner_git add --intent-to-add --ignore-removal --force -- nixos-cache
  fi
  owner_git ls-files --deleted -- nixos-cache | while read -r gone; do
    owner_git reset --quiet -- "$gone"
  done
}

# place FILE: stdin becomes a file of ours, and what observe expects to find.
place() {
  write 644 "$public/$1"
  expect "$1"
}

# drop FILE: the same, for a file that is to be no more.
drop() {
  rm -f "$public/$1"
  expect "$1"
}

expect() {
  if [ -e "$public/$1" ]; then
    write 600 "$private/expected/$1" <"$public/$1"
  else
    rm -f "$private/expected/$1"
  fi
}

# keep FILE: remember it as it is, for put_back. A hard link where it can be one: putting it back is a rename
# then, for which there is room on a full disk.
keep() {
  if [ -z "$kept" ]; then
    mkdir -p "$private/keep.$$/public/authorized" "$private/keep.$$/expected/authorized"
    # Held for as long as this step lives, and before it has the name that take_back_what_was_cut_off looks for.
    exec 7<"$private/keep.$$"
    flock 7
    kept=$private/kept.$$
    mv -T "$private/keep.$$" "$kept"
  fi
  hold "$public/$1" "$kept/public/$1"
  hold "$private/expected/$1" "$kept/expected/$1"
  # Not by the shell itself, whose words for a full disk are "I/O error".
  printf '%s\n' "$1" | tee -a "$kept/names" >"$work/none"
}

hold() {
  if [ -e "$1" ]; then ln -f "$1" "$2" 2>"$work/none" || cp -p "$1" "$2"; fi
}

# put_back FOLDER: what keep has remembered there.
put_back() {
  lock_files
  if [ -e "$1/names" ]; then
    while read -r name; do
      if [ "$name" != default.nix ] || [ -e "$1/public/$name" ] || ! has_files; then
        hand_back "$1/public/$name" "$public/$name"
      fi
      hand_back "$1/expected/$name" "$private/expected/$name"
    done <"$1/names"
  fi
  rm -rf "$1"
  leave_no_empty_folder
  sync_index
  unlock_files
}

hand_back() {
  if [ -e "$1" ]; then
    mkdir -p "${2%/*}"
    mv -f "$1" "$2"
    sync "$2"
  else
    rm -f "$2"
  fi
}

# What is kept is of no more use: the machine follows the new files.
forget_kept() {
  if [ -n "$kept" ]; then rm -rf "$kept"; fi
  kept=
  exec 7<&-
}

# A step that was killed has put nothing back; its lock on what it kept is gone with it. And a change may wait
# for a confirmation whose unit a restart has ended.
take_back_what_was_cut_off() {
  for left in "$private"/kept.*; do
    if [ -d "$left" ] && flock --nonblock "$left" true; then put_back "$left"; fi
  done
  exec 9<"${profile%/*}"
  if a_change_waits && flock --nonblock 9; then nobody_at_it || :; fi
  unlock_system
}

# However a step ends: what it has kept is put back, unless the machine has come to follow the new files.
finish() {
  status=$?
  trap - EXIT
  # As far as it goes, on a full disk for example.
  if [ -n "$kept" ]; then put_back "$kept" || :; fi
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
