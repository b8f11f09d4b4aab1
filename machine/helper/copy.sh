# A copy of the configuration without our folder, in which something can be tried. Nix copies what it evaluates to its
# store, which everybody can read: so of a repository the copy has only what git knows, as in the owner's own rebuild. It
# is read as its owner, so it has nothing that is not theirs to read.

# copy_configuration: makes it, in the folder $tree.
copy_configuration() {
  rm -rf "$tree"
  (umask 077 && mkdir "$tree")
  if is_repository; then
    owner_git ls-files -z --cached -- . ':!nixos-cache' >"$work/known"
    below=$(owner_git rev-parse --show-prefix)
  else
    below=none
    (cd "$nixos/." && as_owner find . -mindepth 1 -name .git -prune -o -path ./nixos-cache -prune -o -print0) >"$work/known"
  fi
  # What git knows may be missing on the disk.
  as_owner tar --create --file - --directory "$nixos/." --no-recursion --ignore-failed-read --null --files-from - \
    <"$work/known" 2>"$log" | tar --extract --file - --directory "$tree" --no-same-owner
  if [ -z "$below" ]; then copy_repository; fi
  mkdir -p "$tree/nixos-cache"
}

# The repository itself, for a flake may ask for its revision: with a configuration of its own, so that nothing of the
# owner's runs, and the owner's objects, which it borrows (gitrepository-layout(5), objects/info/alternates).
copy_repository() {
  git init --quiet "$tree"
  owner_git rev-parse --path-format=absolute --git-path objects >"$tree/.git/objects/info/alternates"
  as_owner cat "$(owner_git rev-parse --path-format=absolute --git-path index)" >"$tree/.git/index"
  if head=$(owner_git rev-parse --quiet --verify HEAD); then echo "$head" >"$tree/.git/HEAD"; fi
}

# show_copy_to_git: what has been put into the copy's nixos-cache, Nix is to see.
show_copy_to_git() {
  chown -R root: "$tree"
  if [ ! -e "$tree/.git" ]; then return; fi
  tree_git() { git -c safe.directory='*' -C "$tree" "$@"; }
  tree_git add --intent-to-add --force -- nixos-cache 2>"$log"
  tree_git ls-files --deleted -- nixos-cache | while read -r gone; do tree_git reset --quiet -- "$gone"; done
}

# module_into FOLDER: our module, which does nothing without settings.
module_into() {
  for file in $module_files; do cp "$here/../nixos/$file" "$1/"; done
}
