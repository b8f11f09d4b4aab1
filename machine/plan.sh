# What a rebuild would do, for a person. Tried in a copy of the configuration; nothing is switched.

# plan ROLE: stdin is the settings as they would be written, or nothing: then for the files as they are.
plan() {
  cat >"$work/settings.json"
  if [ ! -d "$nixos" ]; then fail "there is no $nixos on this machine"; fi
  copy_configuration
  if [ -d "$public" ]; then cp -R "$public/." "$work/tree/nixos-cache"; fi
  if [ -s "$work/settings.json" ]; then
    cp "$work/settings.json" "$work/tree/nixos-cache/$1.json"
    print_module >"$work/tree/nixos-cache/default.nix"
  fi
  show_copy_to_git
  mv "$work/tree" "$work/planned"
  if ! build "$work/planned" >"$work/progress"; then
    fail "the configuration would not build" "$(last_lines)"
  fi
  now=$(readlink -f /run/current-system)
  if [ "$system" = "$now" ]; then
    say "the same system as now: nothing to switch"
    return
  fi
  say "new system: $system"
  # What had to be made for it, before it was made.
  grep -E '^(these [0-9]+|this) (derivations?|paths?) will be ' "$log" | sed 's/:$//; s/will be/had to be/' || :
  case $(unswitched_edits) in
    yes) say "this would also activate edits of this machine's configuration that were not switched to yet" ;;
    unknown) say "perhaps also edits that were not switched to yet: without our change the configuration does not evaluate" ;;
  esac
  say "packages:"
  changes_of_packages "$now" "$system"
  say "units:"
  "$system/bin/switch-to-configuration" dry-activate 2>&1 </dev/null | grep '^would ' | cut -c1-400 || say "no changes"
}

changes_of_packages() {
  if command -v nvd >"$work/none"; then
    nvd --color never diff "$1" "$2" | cut -c1-400
  else
    nix --extra-experimental-features nix-command store diff-closures "$1" "$2" >"$work/closures"
    if [ -s "$work/closures" ]; then
      # Without its colours.
      sed 's/\x1b\[[0-9;]*m//g' "$work/closures" | cut -c1-400
    else
      say "none added, removed or changed"
    fi
  fi
}
