# The machine follows its files: build, check, switch.

# The hash of the files, computed as the module does; "none" where it has nothing to do.
fingerprint_of_files() {
  if ! has_settings; then
    echo none
    return
  fi
  (
    cd "$public"
    for file in authorized/*.pub client.json default.nix server.json; do
      if [ -e "$file" ]; then sha256sum "$file"; fi
    done
  ) | sha256sum | cut -d' ' -f1
}

# The same hash as a built system carries it.
fingerprint_of_system() {
  cat "$1/etc/nixos-cache/fingerprint" 2>"$work/none" || echo none
}

# `applied` names the files last activated and what the system says of them. The two differ after a
# revocation, which changes the files but waits for the next rebuild.
is_applied() {
  [ "$(cat "$private/applied" 2>"$work/none" || echo none none)" = "$1 $(fingerprint_of_system /run/current-system)" ]
}

record_applied() {
  printf '%s %s\n' "$1" "$(fingerprint_of_system /run/current-system)" | write 600 "$private/applied"
}

# Sets $system to what the configuration builds to.
build() {
  rm -f "$work/result"
  # No lock is handed on: whatever the build leaves running must not hold it.
  (trap - PIPE && cd "$work" && nixos-rebuild build) >"$log" 2>&1 </dev/null 8>&- 9>&- || return 1
  system=$(readlink -f "$work/result")
}

# rebuild: make the machine match its files, if it does not already. Steps that wait here for the lock
# find their work done by the first. Fails with the reason in $reason.
rebuild() {
  lock_system
  while :; do
    files=$(fingerprint_of_files)
    if is_applied "$files"; then
      unlock_system
      return 0
    fi
    say "building the configuration"
    if ! build; then
      reason=$(printf '%s\n' "the configuration does not build, nothing was switched" && last_lines)
      return 1
    fi
    # Files that came in the meantime are built too, before the switch rather than after it.
    [ "$(fingerprint_of_files)" != "$files" ] || break
  done
  check_import && activate && record_applied "$files" && unlock_system
}

check_import() {
  if [ "$(fingerprint_of_system "$system")" != "$files" ]; then
    reason="the configuration of this machine does not import nixos-cache, nothing was switched
Add this line to $nixos/configuration.nix, or to this machine's module in your flake, then run \`pulumi up\` again:
    imports = [ ./nixos-cache ];
(in a file of a folder below, ../nixos-cache: it is $public as seen from there)"
    return 1
  fi
}

activate() {
  before=$(readlink -f /run/current-system)
  # The boot default too: the owner may have tried this system out with `nixos-rebuild test`.
  if [ "$system" = "$before" ] && [ "$system" = "$(readlink -f "$profile")" ]; then
    return 0
  fi
  say "activating $system"
  if switch_to "$system"; then
    return 0
  fi
  reason=$(printf '%s\n' "activating $system failed" && last_lines)
  if switch_to "$before"; then
    reason="$reason
The machine is back on $before."
  else
    reason="$reason
Going back to $before failed too: \`nixos-rebuild switch --rollback\` on the machine may help."
  fi
  return 1
}

# switch_to SYSTEM: status 4 of switch-to-configuration says that units have failed. Those that had failed
# before are no reason to go back.
switch_to() {
  failed_units >"$work/failed-before"
  (
    trap - PIPE
    nix-env --profile "$profile" --set "$1" && "$1/bin/switch-to-configuration" switch
  ) >"$log" 2>&1 </dev/null 8>&- 9>&-
  switched=$?
  failed_units >"$work/failed-after"
  if [ "$switched" = 4 ] && [ -z "$(comm -13 "$work/failed-before" "$work/failed-after")" ]; then
    say "some units have failed, as they had before: $(tr '\n' ' ' <"$work/failed-after")"
    switched=0
  fi
  return "$switched"
}

failed_units() {
  systemctl list-units --state=failed --plain --no-legend | cut -d' ' -f1 | sort
}

# Ends the step where it fails, and with that puts back what it has kept.
rebuild_or_put_back() {
  if ! rebuild; then
    fail "${reason:-the machine could not be rebuilt}" "The files in $public are as they were."
  fi
  kept=
}
