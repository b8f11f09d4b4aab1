# The switch to a system that was built, and the way back from it.
#
# It runs in a transient unit of systemd, so that a dropped connection does not stop it half-way, and it stays
# out of the boot default until it is confirmed, so that a reboot comes back on the system before. However the
# unit ends without a confirmation, killed for example, systemd runs `agent revert` (systemd.service(5),
# ExecStopPost). What a change that waits is about stands in /var/lib/nixos-cache/pending:
#
#   system before           the store paths to go to and to go back to
#   files/ kept/            the files that it is built with, and those to put back
#   owners-part             the hash of the rest of what it is built with
#   role confirmed-by       server, client, or another step; operator: by `agent confirm`, over a new connection,
#                           or self: by the unit
#   switched verdict why    empty once it runs; `confirmed` or why not; why it failed
#   unit doing asked        its name; what it does, for the step that waits; empty once that has said so
pending=$private/pending

a_change_waits() {
  [ -d "$pending" ]
}

# Before a step writes files that the end of a change on trial would put back. Its own kind of change it takes the
# place of: nobody is left to confirm that one.
end_of_change_before() {
  lock_system
  if ! a_change_waits; then return; fi
  if [ "$(cat "$pending/role")" = "$role" ]; then
    decide "another update came before anybody confirmed the change"
  else
    say "waiting for the change before to be confirmed"
  fi
  until_decided
}

# decide VERDICT: unless the change is decided by now.
decide() {
  { echo "$1" >"$pending/verdict.new" && mv "$pending/verdict.new" "$pending/verdict"; } 2>"$work/none" || :
}

# activate CONFIRMED-BY: switches to $system. Fails with the reason in $reason, the machine back as it was.
activate() {
  before=$(readlink -f /run/current-system)
  # The boot default too: the owner may have tried this system out with `nixos-rebuild test`.
  if [ "$system" = "$before" ] && [ "$system" = "$(readlink -f "$profile")" ] && [ -z "$(replaced_in_etc)" ]; then
    record_applied "$work/files"
    all_is_well "$role"
    return 0
  fi
  all_is_well "$role"
  rm -rf "$pending.new"
  mkdir "$pending.new"
  echo "$system" >"$pending.new/system"
  echo "$before" >"$pending.new/before"
  cp -R "$work/files" "$pending.new/files"
  echo "$owners_part" >"$pending.new/owners-part"
  echo "$role" >"$pending.new/role"
  case $1 in operator) echo operator ;; *) echo self ;; esac >"$pending.new/confirmed-by"
  operators_way_in >"$pending.new/way-in"
  # Neither of the two is to be collected as garbage meanwhile.
  ln -sfn "$before" /nix/var/nix/gcroots/nixos-cache-before
  ln -sfn "$system" /nix/var/nix/gcroots/nixos-cache-next
  if [ -n "$kept" ]; then mv "$kept" "$pending.new/kept"; fi
  mv "$pending.new" "$pending"
  kept=
  exec 7<&-
  say "switching to $system"
  unit=nixos-cache-switch-$(cat /proc/sys/kernel/random/uuid)
  echo "$unit" >"$pending/unit"
  if ! systemd-run --collect --quiet --unit="$unit" --description="A change by pulumi-nixos-cache" \
    --property=ExecStopPost="$private/agent revert" --property=TimeoutStopSec=30min \
    -E LOCALE_ARCHIVE -E NIX_PATH -E HOME=/root "$private/agent" switch >"$log" 2>&1 9>&-; then
    echo "systemd-run failed: $(tail -n 1 "$log")" >"$pending/why"
    (revert)
  fi
  until_switched
  if [ -e "$private/reverted-$role" ]; then
    reason=$(cat "$private/reverted-$role")
    # It is being told: by this step, which fails, and not again by a confirmation.
    : >"$private/told-$role"
    return 1
  fi
}

all_is_well() {
  rm -f "$private/reverted-$1" "$private/told-$1"
}

# The operator's own connection: address and port there, and here. sudo hides them, the processes above know.
operators_way_in() {
  process=$$
  while [ "${process:-0}" -gt 1 ]; do
    way=$(environment_of "$process" SSH_CONNECTION)
    if [ -n "$way" ]; then
      echo "$way"
      return
    fi
    process=$(sed -n 's/^PPid:[[:space:]]*//p' "/proc/$process/status" 2>"$work/none")
  done
}

# Waits for the unit: until the system runs, if somebody else confirms it; until all is over, else.
until_switched() {
  said=
  while a_change_waits; do
    if [ -e "$pending/switched" ] && [ "$(first_line "$pending/confirmed-by")" = operator ]; then return; fi
    doing=$(first_line "$pending/doing")
    if [ "$doing" != "$said" ]; then
      say "$doing"
      touch "$pending/asked" 2>"$work/none" || :
    fi
    said=$doing
    wait_a_little
  done
}

until_decided() {
  while a_change_waits; do wait_a_little; done
}

# A second apart is often enough to ask systemd, which costs more than a look at a file.
wait_a_little() {
  now=$(uptime_seconds)
  if [ "$now" != "${asked_at-}" ]; then
    asked_at=$now
    nobody_at_it || :
  fi
  sleep 0.1
}

# A change that waits, and no unit that would end it: the machine has restarted, or its power was cut.
nobody_at_it() {
  case $(systemctl show --property=ActiveState --value "$(cat "$pending/unit" 2>"$work/none" || echo none)") in
    active | activating | deactivating | reloading) return 1 ;;
  esac
  # A restart also ends the test of the new system, and with that the change.
  if a_change_waits; then
    [ -e "$pending/why" ] || echo "the machine restarted before the change was confirmed" >"$pending/why"
    (revert)
  fi
}

# --- In the unit ---

switch() {
  system=$(cat "$pending/system")
  if ! switch_to "$system" test "$pending/doing"; then
    { echo "switching to $system failed" && last_lines; } >"$pending/why"
    exit 1
  fi
  : >"$pending/switched"
  if [ "$(cat "$pending/confirmed-by")" = self ]; then
    if ! can_be_reached; then exit 1; fi
  else
    wait_for_verdict
  fi
  echo "making it the boot default" >"$pending/doing"
  if ! { nix-env --profile "$profile" --set "$system" && "$system/bin/switch-to-configuration" boot; } >"$log" 2>&1; then
    { echo "making $system the boot default failed" && last_lines; } >"$pending/why"
    exit 1
  fi
  owners_part=$(first_line "$pending/owners-part")
  record_applied "$pending/files"
  record "switched to $system"
  close_pending
}

# Gone in one step: half of it would read as a change that waits.
close_pending() {
  rm -rf "$pending.old"
  mv "$pending" "$pending.old"
  rm -rf "$pending.old" /nix/var/nix/gcroots/nixos-cache-before /nix/var/nix/gcroots/nixos-cache-next
}

wait_for_verdict() {
  echo "waiting for the confirmation" >"$pending/doing"
  deadline=$(($(uptime_seconds) + confirm_within))
  until [ -e "$pending/verdict" ]; do
    if [ "$(uptime_seconds)" -ge "$deadline" ]; then
      echo "nobody confirmed the change within $confirm_within s: the machine could not be reached any more, or \`pulumi up\` was stopped" \
        >"$pending/why"
      exit 1
    fi
    sleep 0.1
  done
  if [ "$(cat "$pending/verdict")" != confirmed ]; then
    mv "$pending/verdict" "$pending/why"
    exit 1
  fi
}

uptime_seconds() {
  uptime=$(first_line /proc/uptime)
  echo "${uptime%%.*}"
}

# switch_to SYSTEM ACTION DOING: status 4 of switch-to-configuration says that units have failed. Those that had
# failed before are no reason to go back. Another switch, somebody's `nixos-rebuild`, is waited for.
switch_to() {
  failed_units >"$work/failed-before"
  replaced=$(replaced_in_etc)
  while :; do
    (trap - PIPE && exec "$1/bin/switch-to-configuration" "$2") >"$log" 2>&1 </dev/null 8>&- 9>&-
    switched=$?
    if [ "$switched" = 0 ] || ! grep -q 'Could not acquire lock' "$log"; then break; fi
    echo "waiting for another switch on this machine" >"$3"
    sleep 1
  done
  failed_units >"$work/failed-after"
  if [ "$switched" = 4 ] && [ -z "$(comm -13 "$work/failed-before" "$work/failed-after")" ]; then
    echo "some units have failed, as they had before: $(tr '\n' ' ' <"$work/failed-after")" >"$3"
    switched=0
  fi
  # No unit has changed, but what a unit has read.
  if [ -n "$replaced" ]; then systemctl try-restart nix-daemon sshd; fi
  return "$switched"
}

failed_units() {
  systemctl list-units --state=failed --plain --no-legend | cut -d' ' -f1 | sort
}

# However the unit has ended: a change that is not confirmed by then is taken back.
revert() {
  if ! a_change_waits; then return; fi
  system=$(cat "$pending/system")
  before=$(cat "$pending/before")
  why=$(cat "$pending/why" 2>"$work/none" || echo "the switch was interrupted")
  now=$(readlink -f /run/current-system)
  if [ "$(systemctl is-system-running)" = stopping ]; then
    back="The machine goes back to the system before by its restart."
  elif [ "$now" != "$system" ] && [ "$now" != "$before" ]; then
    back="Somebody has switched the machine to $now meanwhile: it stays there."
  elif switch_to "$before" test "$pending/doing"; then
    back="The machine is back on the system before, $before."
  else
    back="Going back to $before failed too: \`$before/bin/switch-to-configuration switch\` on the machine may help."
  fi
  # Whatever the old system thinks of it: without sshd nobody could do anything about the rest.
  systemctl restart sshd >"$log" 2>&1 || systemctl start sshd.socket >"$log" 2>&1 || :
  if [ -d "$pending/kept" ]; then put_back "$pending/kept"; fi
  printf '%s\n%s\n' "$why" "$back" | write 600 "$private/reverted-$(cat "$pending/role")"
  record "went back: $(printf '%s\n' "$why" | head -n 1)"
  close_pending
}
