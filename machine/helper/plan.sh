# What a rebuild would do, for a person. Tried in a copy of the configuration; nothing is switched.

# plan ROLE: stdin is the settings as they would be written, or nothing: then for the files as they are. The first line
# says it in short.
plan() {
  cat >"$work/settings"
  check_buildable
  copy_configuration
  module_into "$tree/nixos-cache"
  look_at_ours
  for role in server client; do
    if [ -e "$seen/$role.json" ]; then cp "$seen/$role.json" "$tree/nixos-cache/"; fi
  done
  if [ -s "$work/settings" ]; then cp "$work/settings" "$tree/nixos-cache/$1.json"; fi
  host_name >"$tree/nixos-cache/host"
  show_copy_to_git
  if ! build "$tree" >"$work/progress"; then fail "the configuration does not build" "$(last_lines)"; fi
  system=$(readlink -f "$work/result")
  follows "$tree/nixos-cache" "$system" || fail "the configuration of this machine does not import nixos-cache"
  say_plan "$system"
}

# say_plan SYSTEM
say_plan() {
  if [ "$1" = "$(running_system)" ]; then
    say "the same system as now"
    return
  fi
  say "new system $1"
  # What had to be made for it, before it was made.
  grep -E '^(these [0-9]+|this) (derivations?|paths?) will be ' "$log" | sed 's/:$//; s/will be/had to be/' || :
  if follows "$tree/nixos-cache" "$current"; then
    say "but no rebuild for it: it differs only by edits of this machine's configuration that were not switched to yet"
  else
    edits=$(edits_since_switch)
    if [ -n "$edits" ]; then say "this change may also activate edits of this machine's configuration: $edits"; fi
  fi
  variant=$(same_variant "$1")
  changes_of_packages "$(readlink -f "$current")" "$variant"
  changes_of_units "$variant"
}

changes_of_packages() {
  if command -v nvd >/dev/null; then
    nvd --color never diff "$1" "$2" >"$work/packages" 2>&1 || :
  else
    nix_command store diff-closures "$1" "$2" >"$work/packages" 2>&1 || :
  fi
  # Colours come whether one can see them or not.
  sed -i "s/$(printf '\033')\[[0-9;]*m//g" "$work/packages"
  entries packages "$work/packages"
}

changes_of_units() {
  if ! "$1/bin/switch-to-configuration" dry-activate >"$work/activation" 2>&1 </dev/null; then
    say "units: not known, $(grep . "$work/activation" | tail -n 1)"
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
