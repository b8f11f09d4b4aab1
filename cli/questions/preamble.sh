#!/bin/sh
# What every question begins with (cli/question.ts).

# A non-interactive login may have a bare PATH; on NixOS the system's programs are here (machine/helper/main.sh).
PATH=/run/current-system/sw/bin:/run/wrappers/bin:$PATH LC_ALL=C
export PATH LC_ALL

# answer FIELD…: a line of the answer.
answer() {
  line=$1
  shift
  for field in "$@"; do line=$(printf '%s\t%s' "$line" "$(printf %s "$field" | tr '\t\n' '  ')"); done
  printf '%s\n' "$line"
}

# as_owner FOLDER COMMAND…: as the user whose the configuration in the folder is. They may have put links there to files that
# are not theirs to read, or pipes. The folder is the real one: of a link put in its place, the owner of the link counts.
as_owner() {
  of=$1
  shift
  timeout 10 setpriv --reuid "$(stat -c %u "$of")" --regid "$(stat -c %g "$of")" --clear-groups "$@"
}

# modules FOLDER PATTERN: files of the configuration in the folder with a match, but for ours.
modules() {
  as_owner "$1" find -L "$1" -maxdepth 6 -name '.?*' -prune -o -path "$1/nixos-cache" -prune -o \
    -type f -name '*.nix' -size -1000k -exec grep -lsE -D skip "$2" {} + 2>/dev/null
}

# importing FOLDER: a file of the configuration in the folder that names ours; nothing where there is none.
importing() {
  modules "$1" '^[^#]*(/nixos-cache([^a-zA-Z0-9_-]|$)|services\.nixos-cache)' | head -n 1
}

# nix_settings: Nix's settings as root has them, `NAME = VALUE`. Nix before 2.20 has another name for it.
nix_settings() {
  nix --extra-experimental-features nix-command config show 2>/dev/null ||
    nix --extra-experimental-features nix-command show-config 2>/dev/null
}
