# A change on trial: a system that was built is switched to, and gone back from unless somebody confirms it.
#
# It runs in a transient unit of systemd, so that a dropped connection does not stop it half-way, and it stays out of
# the boot default until it is confirmed, so that a reboot comes back on the system before. However the unit ends
# without a confirmation, killed for example, systemd runs the step `revert` (systemd.service(5), ExecStopPost). The
# folder of a trial is there from before the first file is written until all is over:
#
#   id role         its own id, and server or client
#   confirmed-by    operator: by the next step, over a new connection; self: by the unit
#   backup/         our files as they were; `absent` where there were none
#   phase           writing; switching; waiting for the confirmation; keeping: it becomes the boot default
#   system before   the store paths to go to and back to
#   boots generation    the store path to boot, and the generation that boots before: `system` may be a variant of it
#   way-in          the operator's connection
#   verdict why     `confirmed` or why not; why it failed
#
# What only matters while it runs is in /run/nixos-cache/trial-ID: the helper's files, and `doing`, what the step that
# waits is to say; `asked` is there once it has said so.
trial=$data/trial

# begin_trial ROLE CONFIRMED-BY: before the first file of ours is changed. Until the unit runs, `began` is set: a step
# that ends then puts the files back.
began=
begin_trial() {
  [ ! -L "$ours" ] || fail "$ours is a link: remove it"
  rm -rf "$trial.new" "$trial.old"
  mkdir -p "$trial.new/backup"
  if [ -d "$ours" ]; then
    look_at_ours
    cp -R "$seen/." "$trial.new/backup"
  else
    : >"$trial.new/absent"
  fi
  cat /proc/sys/kernel/random/uuid >"$trial.new/id"
  echo "$1" >"$trial.new/role"
  echo "$2" >"$trial.new/confirmed-by"
  echo writing >"$trial.new/phase"
  way_in >"$trial.new/way-in"
  find "$trial.new" -depth -exec sync {} +
  mv -T "$trial.new" "$trial"
  sync "$data"
  began=yes
}

# give_up LINE…: the change comes to nothing, and the files are as they were.
give_up() {
  if put_files_back; then
    close_trial
    files="The files in $ours are as they were."
  else
    files="The files in $ours could not be put back: the next \`pulumi up\` does it."
  fi
  began=
  fail "$@" "$files"
}

# put_files_back: fails where any of it does. Then the trial stays open, and the next step tries again.
put_files_back() {
  if [ ! -d "$nixos/." ]; then return; fi
  if [ -e "$trial/absent" ]; then
    as_owner rm -rf "$ours" || return
  else
    # Of a write that was cut off.
    as_owner rm -f "$ours"/.*.new || return
    look_at_ours
    for file in $our_files; do
      if [ ! -e "$trial/backup/$file" ]; then
        drop_ours "$file" || return
      elif ! cmp -s "$trial/backup/$file" "$seen/$file"; then
        write_ours "$file" <"$trial/backup/$file" || return
      fi
    done
  fi
  sync_index
}

# build_and_activate ROLE: the machine follows its files, or the step fails and they are put back.
build_and_activate() {
  say "evaluating the configuration"
  if ! build "$nixos"; then
    give_up "the configuration does not build, nothing was switched" "$(last_lines)"
  fi
  system=$(readlink -f "$work/result")
  check_import "$system"
  check_edits
  before=$(readlink -f "$current")
  variant=$(same_variant "$system")
  # The boot default too: the owner may have tried this system out with `nixos-rebuild test`.
  if [ "$variant" = "$before" ] && [ "$system" = "$(readlink -f "$profile")" ] && [ -z "$(replaced_in_etc)" ]; then
    expect_ours
    close_trial
    began=
    return
  fi
  start_trial "$variant" "$before" "$system"
  until_switched
  tell_of_reverted "$1"
}

# check_import SYSTEM
check_import() {
  look_at_ours
  if follows "$seen" "$1"; then return; fi
  name=$(first_line "$1/etc/hostname")
  if [ -e "$seen/host" ] && [ "$name" != "$(first_line "$seen/host")" ]; then
    give_up "the configuration calls this machine $name, and it is still $(first_line "$seen/host"); nothing was switched" \
      "Switch to the new name first (\`nixos-rebuild switch\`), then run \`pulumi up\` again."
  fi
  elsewhere=
  if [ "$1" != "$(running_system)" ]; then
    elsewhere="What runs was not built from $nixos as it is now: if this machine's configuration is elsewhere, make $nixos a link to it."
  fi
  give_up "the configuration of this machine does not import nixos-cache, nothing was switched" ${elsewhere:+"$elsewhere"} \
    "Add this line to $nixos/configuration.nix, or to this machine's module in your flake, then run \`pulumi up\` again:" \
    "    imports = [ ./nixos-cache ];" \
    "(in a file of a folder below, ../nixos-cache: it is $ours as seen from there)"
}

# start_trial SYSTEM BEFORE BOOTS: from here on the unit sees to it that the machine is as before or confirmed.
start_trial() {
  id=$(cat "$trial/id")
  echo "$1" >"$trial/system"
  echo "$2" >"$trial/before"
  echo "$3" >"$trial/boots"
  readlink "$profile" >"$trial/generation"
  # None of them is to be collected as garbage meanwhile.
  ln -sfn "$2" /nix/var/nix/gcroots/nixos-cache-before
  ln -sfn "$3" /nix/var/nix/gcroots/nixos-cache-next
  cp -R "$here/.." "$run/trial-$id"
  find "$trial" -depth -exec sync {} +
  set_phase switching
  began=
  say "switching, on trial: ${1#*-}"
  steps=$run/trial-$id/steps/main.sh
  # Where this fails, the unit may be there all the same, or may have been: until_switched finds out.
  within 10 start_unit "$id" || { { echo "systemd-run failed" && last_lines; } >"$trial/why"; } 2>/dev/null || :
}

# start_unit ID: not while systemd re-executes itself.
start_unit() {
  systemd-run --collect --quiet --unit="nixos-cache-trial-$1" --description="A change by pulumi-nixos-cache" \
    --property=ExecStopPost="/bin/sh $steps revert $1 --confirm-within $confirm_within" \
    --property=TimeoutStopSec="$((confirm_within * 50))" -E LOCALE_ARCHIVE -E NIX_PATH -E HOME=/root \
    /bin/sh "$steps" trial "$1" --confirm-within "$confirm_within" >"$log" 2>&1 8>&- 9>&-
}

set_phase() {
  echo "$1" >"$trial/phase.new" && sync "$trial/phase.new" && mv "$trial/phase.new" "$trial/phase" && sync "$trial"
}

is_trial() {
  [ "$(first_line "$trial/id")" = "$1" ]
}

# until_switched: until the system runs, if the next step confirms it; until all is over, else.
until_switched() {
  id=$(cat "$trial/id")
  said=
  while is_trial "$id"; do
    if [ "$(first_line "$trial/phase")" = waiting ] && [ "$(first_line "$trial/confirmed-by")" = operator ]; then return; fi
    doing=$(first_line "$run/trial-$id/doing")
    if [ "$doing" != "$said" ]; then
      say "$doing"
      touch "$run/trial-$id/asked" 2>/dev/null || :
    fi
    said=$doing
    wait_for_unit
  done
}

# until_decided: the trial that is on now; another may follow it.
until_decided() {
  id=$(first_line "$trial/id")
  while [ -d "$trial" ] && is_trial "$id"; do wait_for_unit; done
}

# A second apart is often enough to ask systemd, which costs more than a look at a file. A step that holds the system's
# lock may be at it, too.
wait_for_unit() {
  now=$(uptime_seconds)
  if [ "$now" != "${asked_at-}" ]; then
    asked_at=$now
    if unit_is_gone && try_lock_system && unit_is_gone; then
      go_back "the machine restarted before the change was confirmed"
    fi
  fi
  sleep 0.1
}

# unit_is_gone: nobody is left to end the trial: the machine has restarted, or its power was cut. While systemd does not
# answer, nobody knows.
unit_is_gone() {
  [ -d "$trial" ] || return 1
  case $(systemctl show --property=ActiveState --value "nixos-cache-trial-$(first_line "$trial/id")" 2>/dev/null) in
    inactive | failed) [ -d "$trial" ] ;;
    *) return 1 ;;
  esac
}

# waits_for_confirmation ROLE
waits_for_confirmation() {
  [ "$(first_line "$trial/role")" = "$1" ] && [ "$(first_line "$trial/phase")" = waiting ]
}

# decide VERDICT: unless the trial is decided by now.
decide() {
  { printf '%s\n' "$1" >"$trial/verdict.$$" && ln "$trial/verdict.$$" "$trial/verdict"; } 2>/dev/null || :
}

# recover: what a step that was killed, or a power cut, has left. The system's lock is held, so no step is at it.
recover() {
  if [ ! -d "$trial" ]; then return; fi
  case $(first_line "$trial/phase") in
    switching | waiting | keeping)
      if unit_is_gone; then go_back "the machine restarted before the change was confirmed"; fi
      ;;
    *)
      say "putting back what a step that was cut off has left"
      put_files_back || fail "the files in $ours could not be put back" "$(last_lines)"
      close_trial
      ;;
  esac
}

# end_trial_before ROLE: its own kind of change this one takes the place of: nobody is left to confirm that one. What
# became of it is told here.
end_trial_before() {
  if [ -d "$trial" ]; then
    if [ "$(first_line "$trial/role")" = "$1" ]; then
      decide "another update came before anybody confirmed the change"
    else
      say "waiting for the change before to be confirmed"
    fi
    until_decided
  fi
  if [ "$(first_line "$data/reverted")" = "$1" ]; then
    say "the last time $(sed -n 2p "$data/reverted"): $(sed -n 3p "$data/reverted")"
    rm -f "$data/reverted"
  fi
}

# tell_of_reverted ROLE: the step fails where the machine went back. It is told once.
tell_of_reverted() {
  if [ "$(first_line "$data/reverted")" != "$1" ]; then return; fi
  sed 1d "$data/reverted" >"$work/reason"
  rm -f "$data/reverted"
  fail "$(cat "$work/reason")" "See what is wrong, then run \`pulumi up\` again."
}

# close_trial: in one step: half of it would read as a change on trial.
close_trial() {
  rm -rf "$trial.old"
  mv -T "$trial" "$trial.old"
  sync "$data"
  rm -rf "$trial.old" /nix/var/nix/gcroots/nixos-cache-before /nix/var/nix/gcroots/nixos-cache-next
}
