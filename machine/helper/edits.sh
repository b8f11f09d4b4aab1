# What else a rebuild would change on the machine: it activates all that is in the configuration.

# check_edits: says so, where its owner has edits that they have not switched to; refuses, with onlyOurs.
check_edits() {
  if [ "$only_ours" = no ]; then
    edits=$(edits_since_switch)
    if [ -n "$edits" ]; then say "this change may also activate edits of this machine's configuration: $edits"; fi
    return
  fi
  say "evaluating the configuration without this change"
  if ! without=$(evaluate_as_activated 2>"$work/evaluation"); then
    edits="the rebuild may also activate edits of this machine's configuration: without this change it does not evaluate"
  elif [ "$without" != "$(running_system)" ]; then
    edits="the rebuild would also activate edits of this machine's configuration that were not switched to yet"
  else
    return 0
  fi
  give_up "$edits; nothing was switched" \
    "Switch to them first (\`nixos-rebuild switch\`), or set onlyOurs to false."
}

# edits_since_switch: in words, which files are newer than the generation that runs; nothing where none is.
edits_since_switch() {
  generation=$(running_generation)
  if [ -z "$generation" ]; then
    echo "what runs is no generation of the system profile"
    return
  fi
  find "$nixos/." \( -name .git -o -name nixos-cache \) -prune -o -type f -newer "$generation" -printf '%P\n' |
    sort >"$work/edited"
  if [ ! -s "$work/edited" ]; then return; fi
  echo "$(head -n 3 "$work/edited" | tr '\n' ' ')$(more_than 3 "$work/edited")edited since $(date -d "@$(stat -c %Y "$generation")" '+%F %R')"
}

# more_than COUNT FILE: words for the lines beyond.
more_than() {
  lines=$(wc -l <"$2")
  if [ "$lines" -gt "$1" ]; then echo "and $((lines - $1)) more, "; fi
}

# running_generation: the newest link of the system profile to what runs.
running_generation() {
  running=$(running_system)
  for link in "$profile"-*-link; do
    if [ "$(readlink -f "$link")" = "$running" ]; then echo "$link"; fi
  done | sort -V | tail -n 1
}

# evaluate_as_activated: what the configuration comes to with our files as in the running system.
evaluate_as_activated() {
  copy_configuration
  module_into "$tree/nixos-cache"
  if [ -e "$current/etc/nixos-cache/default.nix" ]; then
    for file in $module_files; do
      if [ -e "$current/etc/nixos-cache/$file" ]; then cp -L "$current/etc/nixos-cache/$file" "$tree/nixos-cache/"; fi
    done
    for role in server client; do
      if [ -e "$current/etc/nixos-cache/$role.json" ]; then
        cp -L "$current/etc/nixos-cache/$role.json" "$tree/nixos-cache/"
      fi
    done
    host_name >"$tree/nixos-cache/host"
  fi
  show_copy_to_git
  evaluated=0
  evaluate "$tree" || evaluated=$?
  rm -rf "$tree"
  return "$evaluated"
}

# A rebuild from /etc/nixos would undo what somebody else deploys. Unless that was said, it ends here.
refuse_another_deployment() {
  if [ "$deployed_by" = pulumi ] || [ -e "$current/etc/nixos-cache/default.nix" ]; then return; fi
  other=$(other_deployment)
  if [ -z "$other" ]; then return; fi
  fail "this machine's system comes from $other: a rebuild from $nixos would undo that, so nothing was touched" \
    "Write rebuild: { by: owner } for this machine, and deploy the settings together with the rest." \
    "Or write rebuild: { by: pulumi }, if $nixos is to take over."
}

# other_deployment: who deploys this machine, in words; nothing where it is /etc/nixos.
other_deployment() {
  units=$current/etc/systemd/system
  if [ -e "$units/comin.service" ]; then
    echo comin
  elif [ -e "$profile/deploy-rs-activate" ]; then
    echo deploy-rs
  elif [ -n "$(upgrades_from)" ]; then
    echo "$(upgrades_from), by system.autoUpgrade"
  elif was_built_elsewhere; then
    echo "another machine or another folder"
  fi
}

# upgrades_from: the flake of system.autoUpgrade, where it is not the one in /etc/nixos.
upgrades_from() {
  start=$(sed -n 's/^ExecStart=[^/]*\([^ ]*\).*/\1/p' "$units/nixos-upgrade.service" 2>/dev/null | head -n 1)
  [ -e "$start" ] || return 0
  sed -n "s/.*--flake ['\"]\{0,1\}\([^ '\"]*\).*/\1/p" "$start" |
    grep -Ev "^((path|git\+file):(//)?)?($nixos|/etc/nixos)([#?]|\$)" | head -n 1
}

# was_built_elsewhere: the derivation of the running system is not here (Nix keeps those of what is in use, nix.conf(5),
# keep-derivations), and what /etc/nixos comes to is something else.
was_built_elsewhere() {
  derivation=$(nix-store --query --deriver "$(running_system)" 2>/dev/null)
  case $derivation in /nix/store/*) ;; *) return 1 ;; esac
  [ ! -e "$derivation" ] || return 1
  without=$(evaluate_as_activated 2>"$work/evaluation") && [ "$without" = "$(running_system)" ] && return 1
  return 0
}
