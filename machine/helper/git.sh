# The configuration may belong to somebody who is not root, and be in a git repository of theirs. What is done in
# their folder is done as them, so that nothing in it becomes root's, and nothing that they set up runs as root.

# as_owner COMMAND…: as the user whose the configuration is.
as_owner() {
  owner_ids=$(stat -L -c '%u:%g' "$nixos")
  if [ "$owner_ids" = 0:0 ]; then
    "$@"
  else
    HOME=$(getent passwd "${owner_ids%:*}" | cut -d: -f6) \
      setpriv --reuid "${owner_ids%:*}" --regid "${owner_ids#*:}" --clear-groups "$@"
  fi
}

# owner_git ARGUMENT…: git in the configuration, without what a repository's own settings would run. Of a repository
# that is neither its owner's nor root's, git itself wants to know nothing (git-config(1), safe.directory).
owner_git() {
  as_owner git -c core.fsmonitor= -c core.hooksPath=/dev/null -C "$nixos" "$@"
}

# is_repository: whether git knows the configuration. The repository may be in a folder above, or elsewhere
# (gitrepository-layout(5)). Ends the step where git is needed and cannot say: what it does not know must not be copied.
is_repository() {
  at=$(readlink -f "$nixos")
  until [ -e "$at/.git" ]; do
    if [ "$at" = / ]; then return 1; fi
    at=$(dirname "$at")
  done
  command -v git >/dev/null ||
    fail "$at is a git repository, and there is no git on this machine for root: add git to environment.systemPackages"
  owner_git rev-parse --git-dir >/dev/null 2>"$log" || fail "git cannot read the repository in $at" "$(last_lines)"
}

# In a git repository Nix sees only files that the index names, so it follows what is on the disk (git-add(1),
# --intent-to-add). Joined, for `set -e` does not hold in a function that is called as a condition.
sync_index() {
  if ! is_repository; then return 0; fi
  drop_stale_lock || return
  # As open as the repository is.
  mode=$(owner_git rev-parse --absolute-git-dir) && mode=$(stat -c %a "$mode") || return
  (
    umask "$(printf %o $((0777 & ~0$mode)))"
    if [ -d "$ours" ]; then owner_git add --intent-to-add --ignore-removal --force -- nixos-cache || exit; fi
    owner_git ls-files --deleted -- nixos-cache >"$work/deleted" || exit
    while read -r gone; do owner_git reset --quiet -- "$gone" || exit; done <"$work/deleted"
  )
}

# drop_stale_lock: git's lock on the index, where a power cut has left it: it is older than the start of this machine.
drop_stale_lock() {
  stale=$(owner_git rev-parse --git-path index.lock) || return
  stale=$(cd "$nixos" && readlink -f "$stale") || return
  if [ -n "$(find "$stale" ! -newer /run/booted-system 2>/dev/null)" ]; then as_owner rm -f "$stale"; fi
}

# write_ours NAME: stdin becomes a file in the configuration, whole or not at all. Links are not followed: the file is
# made anew, by the owner's own rights.
write_ours() {
  # shellcheck disable=SC2016 # for the inner shell
  as_owner sh -c 'mkdir -p "$1" && rm -f "$1/.$2.new" && cat >"$1/.$2.new" && chmod 644 "$1/.$2.new" &&
    sync "$1/.$2.new" && mv -fT "$1/.$2.new" "$1/$2" && sync "$1"' sh "$ours" "$1"
}

# look_at_ours: what stands in our folder of the configuration, as files in $seen. It is read by its owner's rights, and
# no more of it than there can be of ours: in the place of a file may be a link, a pipe, or something without an end.
look_at_ours() {
  rm -rf "$seen"
  mkdir "$seen"
  # shellcheck disable=SC2086 # words
  as_owner tar --create --file - --directory "$ours/." --no-recursion --ignore-failed-read -- $our_files 2>/dev/null |
    head -c 1000000 | tar --extract --file - --directory "$seen" --no-same-owner 2>/dev/null || :
  find "$seen" -mindepth 1 ! -type f -delete
}

# drop_ours NAME…
drop_ours() {
  for name in "$@"; do as_owner rm -f "$ours/$name"; done
}
