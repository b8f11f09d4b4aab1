# What runs in the unit of a trial: the switch, and the way back.

# trial ID: switches, and makes it the boot default once that is confirmed. Wherever this ends before, the unit's
# ExecStopPost goes back.
trial() {
  is_trial "$1" || return 0
  system=$(cat "$trial/system")
  switch_on_trial "$system"
  set_phase waiting
  if [ "$(cat "$trial/confirmed-by")" = self ]; then
    check_alone || not_kept "$(cat "$work/reason")"
  else
    wait_for_verdict "$1"
  fi
  chosen=$(chosen_by_owner)
  look_at_ours
  if [ -z "$chosen" ]; then
    keep "$(cat "$trial/boots")"
  elif follows "$seen" "$current" && follows "$seen" "$profile"; then
    record "the owner has switched to $chosen, which has the change on trial"
  else
    not_kept "somebody else has switched this machine meanwhile"
  fi
  expect_ours
  rm -f "$data/reverted"
  close_trial
}

# not_kept LINE…: why.
not_kept() {
  printf '%s\n' "$@" >"$trial/why" || :
  exit 1
}

# doing WORDS: for the step that waits, and for the journal.
doing() {
  say "$1"
  notes=$run/trial-$(first_line "$trial/id")
  if [ ! -d "$notes" ]; then return; fi
  rm -f "$notes/asked"
  echo "$1" >"$notes/doing.new"
  mv "$notes/doing.new" "$notes/doing"
}

# check_alone: what a machine can check of itself, else with the reason in $work/reason.
check_alone() {
  doing "checking that this machine can be reached"
  can_be_reached || return
  asks_the_daemon || return
  if [ -e "$current/etc/nixos-cache/server.json" ]; then works server; fi
}

# wait_for_verdict ID
wait_for_verdict() {
  doing "waiting for the confirmation"
  deadline=$(($(uptime_seconds) + confirm_within))
  until [ -e "$trial/verdict" ]; do
    is_trial "$1" || exit 0
    if [ "$(uptime_seconds)" -ge "$deadline" ]; then
      not_kept "nobody confirmed the change within $confirm_within s: the machine could not be reached any more, or \`pulumi up\` was stopped"
    fi
    sleep 0.1
  done
  if [ "$(cat "$trial/verdict")" != confirmed ]; then not_kept "$(cat "$trial/verdict")"; fi
}

# switch_on_trial SYSTEM: unless somebody has switched the machine since the system was built.
switch_on_trial() {
  patient_until=$(after_patience)
  while [ -z "$(chosen_by_owner)" ]; do
    if switch_to "$1"; then return; fi
    if ! another_switch_runs "$patient_until"; then not_kept "switching to $1 failed" "$(why_it_failed)"; fi
  done
  not_kept "somebody else has switched this machine meanwhile"
}

# chosen_by_owner: the system that somebody else has switched to since the trial began, or has made the boot default;
# nothing where nobody has.
chosen_by_owner() {
  runs=$(readlink -f "$current")
  if [ "$runs" != "$(cat "$trial/system")" ] && [ "$runs" != "$(cat "$trial/before")" ]; then
    echo "$runs"
  elif [ "$(first_line "$trial/phase")" != keeping ] &&
    [ "$(readlink "$profile")" != "$(cat "$trial/generation")" ]; then
    readlink -f "$profile"
  fi
}

# keep SYSTEM: as the boot default.
keep() {
  doing "making it the boot default"
  set_phase keeping
  if ! nix-env --profile "$profile" --set "$1" >"$log" 2>&1 || ! boot_profile; then
    not_kept "making $1 the boot default failed" "$(last_lines)"
  fi
  record "switched to $1"
}

# boot_profile [VARIABLE=VALUE]: what the boot loader boots follows the system profile.
boot_profile() {
  patient_until=$(after_patience)
  until run_switch "$(readlink -f "$profile")" boot "$@"; do
    another_switch_runs "$patient_until" || return
  done
}

# switch_to SYSTEM [VARIABLE=VALUE]: its end is in `status`, too. Status 4 of switch-to-configuration says that units
# have failed, or only some user's part of the switch. Units that had failed before are no reason to go back. It may hide
# that the activation failed, too.
switch_to() {
  status=1
  failed_units >"$work/failed-before" || { echo "systemd does not answer" >"$log" && return 1; }
  replaced=$(replaced_in_etc)
  status=0
  run_switch "$1" test ${2+"$2"} || status=$?
  if [ "$status" = 4 ] && ! activation_failed && broken=$(newly_failed) && [ -z "$broken" ]; then
    doing "the switch ended with status 4, and no unit has failed that had not before: $(grep '^warning: ' "$log" | tail -n 1)"
    status=0
  fi
  # No unit has changed, but what a unit has read.
  if [ -n "$replaced" ]; then within 10 systemctl try-restart nix-daemon sshd || :; fi
  return "$status"
}

# run_switch SYSTEM ACTION [VARIABLE=VALUE]: one that never ends, for a unit that never starts, may have shut everybody
# out by then: it is ended. No lock is handed on: whatever the activation leaves running must not hold it.
run_switch() {
  program=$1/bin/switch-to-configuration
  action=$2
  shift 2
  (trap - PIPE && exec env "$@" timeout --kill-after=10 "$((confirm_within * 10))" "$program" "$action") \
    >"$log" 2>&1 </dev/null 8>&- 9>&-
}

# after_patience: when what may take as long as a switch has taken too long.
after_patience() {
  echo $(($(uptime_seconds) + confirm_within * 10))
}

# another_switch_runs SECONDS: whether that is why the last one failed, somebody's `nixos-rebuild` for example. Then it
# has a moment to end; but not for ever, when the machine is up for that long.
another_switch_runs() {
  grep -q 'Could not acquire lock' "$log" || return
  [ "$(uptime_seconds)" -lt "$1" ] || return
  doing "waiting for another switch on this machine"
  sleep 1
}

activation_failed() {
  grep -Eq "Failed to run activate script|Activation script snippet .* failed" "$log"
}

# newly_failed: the units that the switch has broken: of those that it names, or else that systemd lists. A user's
# manager is no part of the system.
newly_failed() {
  sed -n 's/^warning: the following units failed: //p' "$log" | tr -s ', ' '\n' | sort -u >"$work/failed-after"
  if [ ! -s "$work/failed-after" ]; then failed_units >"$work/failed-after" || return; fi
  comm -13 "$work/failed-before" "$work/failed-after" | grep -v '^user@[0-9]*\.service$' || :
}

# failed_units: also those that restart for ever. While systemd re-executes itself it says nothing.
failed_units() {
  within 60 list_failed_units && cut -d' ' -f1 "$work/units" | sort
}

list_failed_units() {
  systemctl list-units --state=failed,auto-restart,auto-restart-queued --plain --no-legend >"$work/units" 2>/dev/null
}

# why_it_failed: the words of a switch. The status of each failed unit follows their names, and is long.
why_it_failed() {
  case $status in
    100) echo "the new system needs a restart of the machine: make it the boot default (\`nixos-rebuild boot\`), and restart" ;;
    124 | 137) echo "it had not ended after $((confirm_within * 10)) s" ;;
    *)
      if grep -q '^Pre-switch checks failed' "$log"; then
        echo "the new system's own checks refuse a switch (system.preSwitchChecks): see to what they say, or make it the boot default (\`nixos-rebuild boot\`), and restart"
      fi
      ;;
  esac
  grep -E '^warning: the following units failed|^Failed to run activate script|^Activation script snippet' "$log" || :
  last_lines
}

# revert ID: when the unit has ended, however. A trial that is not closed by then is taken back; another trial than its
# own is none of its business.
revert() {
  if is_trial "$1"; then go_back "the switch was interrupted"; fi
  rm -rf "$run/trial-$1"
}

# go_back WHY: a trial is taken back, for the reason that it has noted, or for this one. Cut off anywhere, it begins
# again.
go_back() {
  before=$(cat "$trial/before")
  why=$(grep -s . "$trial/why" || printf '%s\n' "$1")
  headline="this machine went back to the system before"
  switch_back "$before"
  boot_as_before
  # Whatever the old system thinks of it: without sshd nobody could do anything about the rest.
  within 5 restart_sshd || :
  chosen=$(chosen_by_owner)
  files="The files in $ours are as they were."
  look_at_ours
  if [ -n "$chosen" ] && follows "$seen" "$chosen"; then
    files="The files in $ours are those of that system."
  else
    put_files_back
  fi
  printf '%s\n' "$(cat "$trial/role")" "$headline" "$why" "$back" "$files" | write 644 "$data/reverted"
  record "$headline: $(printf '%s\n' "$why" | head -n 1)"
  notes=$run/trial-$(cat "$trial/id")
  close_trial
  rm -rf "$notes"
}

# switch_back BEFORE: sets `back`, what became of it, and `headline` where that is something else.
switch_back() {
  patient_until=$(after_patience)
  while :; do
    chosen=$(chosen_by_owner)
    if [ "$(systemctl is-system-running 2>/dev/null)" = stopping ]; then
      back="The machine goes back to the system before by its restart."
    elif [ -n "$chosen" ] && { [ "$chosen" = "$(readlink -f "$current")" ] || [ "$chosen" = "$(running_system)" ]; }; then
      headline="this machine was switched to another system while the change was on trial"
      back="It stays on that system, $chosen."
    elif switch_to "$1" NIXOS_NO_CHECK=1; then
      back="The machine is back on the system before, $1."
    elif another_switch_runs "$patient_until"; then
      continue
    else
      back="Going back to $1 failed too: \`$1/bin/switch-to-configuration switch\` on the machine may help."
    fi
    return
  done
}

# boot_as_before: where the profile may have come to the system on trial, and the boot loader failed. Adds to `back`
# where it fails again.
boot_as_before() {
  if [ "$(first_line "$trial/phase")" != keeping ] || { profile_as_before && boot_profile NIXOS_NO_CHECK=1; }; then return; fi
  back="$back The boot loader failed on the way back too, so see to what boots: $(tail -n 1 "$log")"
}

# profile_as_before: unless somebody else has changed it since.
profile_as_before() {
  generation=$(cat "$trial/generation")
  kept=$(readlink "$profile")
  if [ "$kept" = "$generation" ] || [ "$(readlink -f "$profile")" != "$(cat "$trial/boots")" ]; then return 0; fi
  nix-env --profile "$profile" --switch-generation "$(number_of "$generation")" >"$log" 2>&1 &&
    nix-env --profile "$profile" --delete-generations "$(number_of "$kept")" >"$log" 2>&1
}

# number_of LINK: of a generation, system-NUMBER-link.
number_of() {
  printf '%s\n' "$1" | sed 's/.*-\([0-9]*\)-link$/\1/'
}

restart_sshd() {
  systemctl restart sshd >"$log" 2>&1 || systemctl start sshd.socket >"$log" 2>&1
}
