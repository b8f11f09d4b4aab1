# What a rebuild would do, for a person. Tried in a copy of the configuration; nothing is switched.

# plan ROLE: stdin is the settings as they would be written, or nothing: then for the files as they are. The first
# line says it in short.
plan() {
  cat >"$work/settings.json"
  if [ ! -d "$nixos" ]; then fail "there is no $nixos on this machine"; fi
  owners_part=$(fingerprint_of_owners_part)
  copy_configuration
  if [ -d "$public" ]; then cp -R "$public/." "$work/tree/nixos-cache"; fi
  if [ -s "$work/settings.json" ]; then cp "$work/settings.json" "$work/tree/nixos-cache/$1.json"; fi
  print_module >"$work/tree/nixos-cache/default.nix"
  show_copy_to_git
  mv "$work/tree" "$work/planned"
  if ! build "$work/planned" >"$work/progress"; then fail "the configuration does not build" "$(last_lines)"; fi
  files=$(fingerprint_of_files "$work/planned/nixos-cache")
  check_import || fail "$reason"
  now=$(readlink -f /run/current-system)
  if [ "$system" = "$now" ]; then
    say "the same system as now"
    return
  fi
  say "new system $system"
  # What had to be made for it, before it was made.
  grep -E '^(these [0-9]+|this) (derivations?|paths?) will be ' "$log" | sed 's/:$//; s/will be/had to be/' || :
  if [ -s "$work/settings.json" ] && is_applied "$files"; then
    say "but no rebuild for it: it differs only by edits of this machine's configuration that were not switched to yet"
  else
    unswitched_edits
  fi
  changes_of_packages "$now" "$system"
  changes_of_units "$system"
}

changes_of_packages() {
  if command -v nvd >"$work/none"; then
    nvd --color never diff "$1" "$2" >"$work/packages" 2>&1 || :
  else
    nix --extra-experimental-features nix-command store diff-closures "$1" "$2" >"$work/packages" 2>&1 || :
  fi
  # Colours come whether one can see them or not.
  sed -i "s/$(printf '\033')\[[0-9;]*m//g" "$work/packages"
  entries packages "$work/packages"
}

changes_of_units() {
  if ! "$1/bin/switch-to-configuration" dry-activate >"$work/activation" 2>&1 </dev/null; then
    say "units: not known, $(tail -n 1 "$work/activation")"
    return
  fi
  # It would activate the configuration in any case.
  grep '^would ' "$work/activation" | grep -v '^would activate the configuration' >"$work/units" || :
  entries units "$work/units"
}

# entries NAME FILE
entries() {
  if [ -s "$2" ]; then
    say "$1:"
    sed 's/^/  /' "$2" | cut -c1-400
  else
    say "$1: no change"
  fi
}
