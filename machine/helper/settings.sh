# The settings of a machine: what makes it a server or a client. They are part of its NixOS configuration.
# In the order of their names, as the program hashes them (machine/helper.ts).
module_files="default.nix module.nix ssh-ng-filter.py warm.nix"
our_files="$module_files host server.json client.json"

# settings ROLE: stdin is one line of JSON, the options of services.nixos-cache for that role. For a server that is to be a client
# too a second line has the options of that role: one rebuild does both.
settings() {
  cat >"$work/all-settings"
  sed -n 1p "$work/all-settings" >"$work/settings"
  sed 1d "$work/all-settings" >"$work/client-too"
  check_settings "$work/settings"
  refuse_another_stacks "$1"
  if [ -s "$work/client-too" ]; then
    case "$1 $(cat "$work/client-too")" in
      'server {"servers":'*) check_settings "$work/client-too" ;;
      *) fail "the settings did not arrive whole" ;;
    esac
    refuse_another_stacks client
  fi
  if [ "$deployed_by" = owner ]; then check_deployed "$1" "$work/settings"; else check_buildable; fi
  make_data_folder
  claim "$1"
  start_daemon
  if [ "$deployed_by" = owner ]; then
    expect_deployed "$1"
    return
  fi
  lock_system
  recover
  end_trial_before "$1"
  apply "$1" "$work/settings" operator
}

# confirm ROLE SETTINGS: the step that follows, over a new connection, keeps the change on trial, if there is one. That
# the connection has come so far is the first thing that it shows.
confirm() {
  check_settings "$2"
  refuse_another_stacks "$1"
  if waits_for_confirmation "$1"; then
    say "checking the service"
    if works "$1"; then decide confirmed; else decide "$(cat "$work/reason")"; fi
    until_decided
  fi
  tell_of_reverted "$1"
  if [ "$deployed_by" = owner ]; then
    check_deployed "$1" "$2"
  elif ! has_settings "$1" "$2"; then
    # It went back, and whoever reads this has been told of it before.
    lock_system
    recover
    end_trial_before "$1"
    apply "$1" "$2" self
  fi
}

# has_settings ROLE SETTINGS: whether the machine runs with them, and with this module.
has_settings() {
  cmp -s "$2" "$current/etc/nixos-cache/$1.json" && has_module "$current/etc/nixos-cache"
}

# has_module FOLDER: whether this very module is there.
has_module() {
  for file in $module_files; do cmp -s "$here/../nixos/$file" "$1/$file" || return 1; done
}

# check_settings FILE: one line and its end, so it came whole.
check_settings() {
  [ "$(wc -l <"$1")" = 1 ] || fail "the settings did not arrive whole"
}

# check_deployed ROLE SETTINGS: that the running system has these settings, where its owner deploys them.
check_deployed() {
  deployed=$current/etc/nixos-cache/$1.json
  if cmp -s "$2" "$deployed"; then return; fi
  fail "the running system does not have the settings of services.nixos-cache.$1 yet, and its owner deploys them (rebuild.by)" \
    "Deploy them with the module of the folder nixos, then run \`pulumi up\` again: what waits for them is done then." \
    "They are, as JSON (all machines' together: pulumi stack output settings --json):" "$(in_lines "$2")" \
    "The system has:" "$(in_lines "$deployed" 2>/dev/null || echo none)"
}

# in_lines SETTINGS: with a line for each server, for a message has short lines.
in_lines() {
  sed 's/},/},\n/g' "$1"
}

# expect_deployed ROLE
expect_deployed() {
  if [ ! -e "$current/etc/nixos-cache/default.nix" ]; then drop_files_of_before "$1"; fi
  lock_data
  expect "$current/etc/nixos-cache/$1.json"
  unlock_data
}

# drop_files_of_before ROLE: of a time when `pulumi up` deployed the settings. Nothing reads them any more.
drop_files_of_before() {
  if [ -e "$ours/$1.json" ]; then
    lock_system
    recover
    drop_settings "$1"
  fi
  lock_data
  forget "$ours"
  unlock_data
}

# apply ROLE SETTINGS CONFIRMED-BY: the system's lock is held.
apply() {
  look_at_ours
  if cmp -s "$2" "$seen/$1.json" && has_client_too && is_settled; then
    expect_ours
    return
  fi
  refuse_another_deployment
  begin_trial "$1" "$3"
  for file in $module_files; do write_ours "$file" <"$here/../nixos/$file"; done
  host_name | write_ours host
  write_ours "$1.json" <"$2"
  if [ -s "$work/client-too" ]; then write_ours client.json <"$work/client-too"; fi
  sync_index
  build_and_activate "$1"
}

# has_client_too: whether the files ($seen) have what came with a server's settings for its part as a client, if anything did.
has_client_too() {
  [ ! -s "$work/client-too" ] || cmp -s "$work/client-too" "$seen/client.json"
}

# host_name: as the configuration calls the machine (networking.hostName); empty where it leaves that to the network.
host_name() {
  first_line /etc/hostname
}

# is_settled: the machine follows its files ($seen), after a reboot too, and nobody has changed them.
is_settled() {
  has_module "$seen" &&
    [ "$(first_line "$seen/host")" = "$(host_name)" ] && follows "$seen" "$current" && follows "$seen" "$profile" &&
    [ -z "$(replaced_in_etc)" ] && is_shown_to_nix
}

# follows FOLDER SYSTEM: whether that system was built with the settings and the module in that folder.
follows() {
  built=$2/etc/nixos-cache
  if [ ! -e "$1/server.json" ] && [ ! -e "$1/client.json" ]; then
    [ ! -e "$built" ]
    return
  fi
  for file in $module_files server.json client.json; do
    if [ -e "$1/$file" ] || [ -e "$built/$file" ]; then cmp -s "$1/$file" "$built/$file" || return 1; fi
  done
}

is_shown_to_nix() {
  ! is_repository || [ -z "$(hidden_from_nix)" ]
}

# hidden_from_nix: files of ours that git does not know any more.
hidden_from_nix() {
  known=$(owner_git ls-files -- nixos-cache)
  for file in $our_files; do
    [ -e "$ours/$file" ] || continue
    case "
$known
" in
      *"
nixos-cache/$file
"*) ;;
      *) echo "$file" ;;
    esac
  done
}

# replaced_in_etc: what of the running system's /etc is not what it brought, by hand or by accident.
replaced_in_etc() {
  for file in nix/nix.conf ssh/sshd_config ssh/ssh_config; do
    # shellcheck disable=SC3013 # the same file by two names, in every sh that there is
    if [ "$current/etc/$file" -ef "/etc/$file" ]; then continue; fi
    if [ -e "$current/etc/$file" ] && ! cmp -s "$current/etc/$file" "/etc/$file"; then printf '%s ' "/etc/$file"; fi
  done
}

# expect_ours: as they stand in the configuration now.
expect_ours() {
  look_at_ours
  lock_data
  # Where the owner has deployed them before.
  forget "$current"
  {
    grep -vF "  $ours/" "$data/expected" || :
    find "$seen" -type f -exec sha256sum '{}' + | sed "s|  $seen/|  $ours/|"
  } >"$work/expected"
  write_expected
  unlock_data
}

# remove_settings ROLE
remove_settings() {
  cat >/dev/null
  [ -d "$data" ] || return 0
  if belongs_to_another "$1"; then
    say "this machine's part as a $1 belongs to $(owner_of "$1") now, it is left alone"
    return
  fi
  lock_system
  recover
  end_trial_before "$1"
  if is_deployed_elsewhere; then
    remove_without_rebuild "$1"
  elif [ -e "$ours/$1.json" ]; then
    begin_trial "$1" self
    drop_settings "$1"
    build_and_activate "$1"
  fi
  if [ "$1" = server ]; then
    lock_data
    write_lines authorized_keys '' no_lines
    expect_lines authorized_keys
    unlock_data
    drop_warm_systems
  fi
  release "$1"
  if ! has_owner && [ ! -e "$ours/server.json" ] && [ ! -e "$ours/client.json" ]; then remove_all; fi
}

# drop_warm_systems: what the timer has built of its clients' systems (nixos/warm.nix) is kept no more. systemd gives a user of
# its own a folder in `private`, and a link to it.
drop_warm_systems() {
  if [ -e "$current/etc/systemd/system/nixos-cache-warm.service" ]; then return; fi
  systemctl stop nixos-cache-warm.service 2>"$log" || :
  for folder in /var/lib /var/cache; do
    remove_folder "$folder/nixos-cache-warm"
    remove_folder "$folder/private/nixos-cache-warm"
  done
  rm -f /var/lib/systemd/timers/stamp-nixos-cache-warm.timer
}

# drop_settings ROLE
drop_settings() {
  drop_ours "$1.json"
  if [ ! -e "$ours/server.json" ] && [ ! -e "$ours/client.json" ]; then drop_ours host; fi
  sync_index
}

# is_deployed_elsewhere: by its owner, or by somebody else of whom nothing was said: a rebuild would undo that.
is_deployed_elsewhere() {
  [ "$deployed_by" = owner ] ||
    { [ "$deployed_by" = '' ] && [ ! -e "$current/etc/nixos-cache/default.nix" ] && [ -n "$(other_deployment)" ]; }
}

# remove_without_rebuild ROLE
remove_without_rebuild() {
  # From a time when `pulumi up` deployed this machine.
  if [ -e "$ours/$1.json" ]; then drop_settings "$1"; fi
  if [ -e "$current/etc/nixos-cache/$1.json" ]; then
    say "the keys are gone, the settings are not: take services.nixos-cache.$1 out of this machine's configuration, and deploy it"
  fi
}

# The last role goes: nothing stays. Cut off anywhere, it is done again.
remove_all() {
  lock_system
  if [ -e "$ours/default.nix" ]; then
    copy_configuration
    rmdir "$tree/nixos-cache"
    show_copy_to_git
    if evaluate "$tree" >"$log" 2>&1; then
      as_owner rm -rf "$ours"
      sync_index
    else
      say "left an empty module in $ours, since the configuration does not build without it:" \
        "remove the line that imports it, then the folder"
    fi
  fi
  # Operators who are not root have the helper in their homes.
  getent passwd | cut -d: -f6 | sort -u | while read -r home; do
    if [ -e "$home/.nixos-cache-helper/SHA256SUMS" ]; then rm -rf "$home/.nixos-cache-helper"; fi
  done
  # The unit of the last trial may be about to look for its files.
  within 10 no_trial_unit || :
  rm -rf "$data/secret" "$run"
  remove_folder "$data"
}

# no_trial_unit: while systemd does not answer, nobody knows.
no_trial_unit() {
  units=$(systemctl list-units --plain --no-legend 'nixos-cache-trial-*' 2>/dev/null) && [ -z "$units" ]
}
