# The machine follows its files: build, check, switch.

# fingerprint_of_files FOLDER: their hash, computed as the module does; "none" where it has nothing to do.
fingerprint_of_files() {
  if [ ! -e "$1/server.json" ] && [ ! -e "$1/client.json" ]; then
    echo none
    return
  fi
  (
    cd "$1"
    set --
    for file in authorized/*.pub client.json default.nix server.json; do
      if [ -e "$file" ]; then set -- "$@" "$file"; fi
    done
    sha256sum "$@"
  ) | hash_of_input
}

# The same hash as a built system carries it.
fingerprint_of_system() {
  marker=$(first_line "$1/etc/nixos-cache/fingerprint")
  echo "${marker:-none}"
}

# follows FILES SYSTEM: whether that system was built with these files. `applied` names the files last activated and
# what the system says of them: the two differ after a revocation, which changes the files but waits for the next
# rebuild.
follows() {
  marker=$(fingerprint_of_system "$2")
  [ "$marker" = "$1" ] || [ "$(first_line "$private/applied")" = "$1 $marker" ]
}

is_applied() {
  follows "$1" /run/current-system && follows "$1" "$profile" && [ -z "$(replaced_in_etc)" ]
}

note_applied() {
  running=$(readlink -f /run/current-system)
  printf '%s %s\n%s\n' "$1" "$(fingerprint_of_system "$running")" "$running" | write 600 "$private/applied"
}

# record_applied FOLDER: the files there are activated now. Kept, to tell our changes from the owner's, with what the
# owner's part was then.
record_applied() {
  note_applied "$(fingerprint_of_files "$1")"
  rm -rf "$private/activated"
  private_folder activated
  cp -R "$1/." "$private/activated"
  printf '%s %s\n' "$owners_part" "$running" | write 600 "$private/evaluated"
}

# The hash of all that decides what the configuration comes to, but for our files; nothing where that cannot be said:
# only a flake with a lock file is evaluated from nothing but its files, the ones that git knows.
fingerprint_of_owners_part() {
  if ! is_flake "$nixos" || [ ! -e "$nixos/flake.lock" ]; then return; fi
  if [ ! -d "$nixos/.git" ] && find_repository; then return; fi
  {
    echo "$attribute"
    tar --create --sort=name --mtime=@0 --exclude=./.git --exclude=./nixos-cache --directory="$nixos" .
    if [ -d "$nixos/.git" ]; then
      owner_git rev-parse --quiet --verify HEAD || :
      owner_git ls-files --stage -- . ':!nixos-cache'
    fi
  } | hash_of_input
}

# What of the running system's /etc is not what it brought, by hand or by accident.
replaced_in_etc() {
  for file in nix/nix.conf ssh/sshd_config ssh/ssh_config ssh/ssh_known_hosts ssh/authorized_keys.d/nix-ssh; do
    # shellcheck disable=SC3013 # the same file by two names, in every sh that there is
    if [ "/run/current-system/etc/$file" -ef "/etc/$file" ]; then continue; fi
    if [ -e "/run/current-system/etc/$file" ] && ! cmp -s "/run/current-system/etc/$file" "/etc/$file"; then
      printf '%s ' "/etc/$file"
    fi
  done
}

# nixos_rebuild ACTION FOLDER: as the owner would call it, with sudo if they are not root: Nix and git refuse root a
# repository of anybody but who called sudo. What Nix would write to it, a lock file, would be root's.
nixos_rebuild() {
  SUDO_UID=$(stat -L -c %u "$2")
  export SUDO_UID
  if is_flake "$2"; then
    # Nix takes no link for a flake.
    nixos-rebuild "$1" --flake "$(readlink -f "$2")${attribute:+#$attribute}" --no-write-lock-file
  elif [ -e "$2/flake.nix" ]; then
    nixos-rebuild "$1" --no-flake -I "nixos-config=$2/configuration.nix"
  else
    nixos-rebuild "$1" -I "nixos-config=$2/configuration.nix"
  fi
}

is_flake() {
  [ "$rebuild_from" = flake ] || { [ -z "$rebuild_from" ] && [ -e "$1/flake.nix" ]; }
}

# build FOLDER: sets $system to what the configuration in that folder builds to.
build() {
  rm -f "$work/result"
  # To a file: the ssh that Nix fetches with makes a pipe on stderr non-blocking, and Nix's lines are lost when it is
  # full. No lock is handed on: whatever the build leaves running must not hold it.
  : >"$log"
  (trap - PIPE && cd "$work" && nixos_rebuild build "$1") >"$log" 2>&1 </dev/null 7>&- 8>&- 9>&- &
  tail --lines=+1 --follow --sleep-interval=0.2 --pid=$! "$log" | say_progress
  [ -e "$work/result" ] && system=$(readlink -f "$work/result")
}

# Nix's lines in short: at most one in a second, and ever fewer, for all of them stand in the message of a failure.
say_progress() {
  total='?'
  count=0
  next=0
  begun=$(uptime_seconds)
  while IFS= read -r line; do
    case $line in
      'these '*' derivations will be built:')
        total=${line#these }
        total=${total%% *}
        count=0
        continue
        ;;
      'this derivation will be built:')
        total=1
        count=0
        continue
        ;;
      'these '*' paths will be fetched '* | 'this path will be fetched '*)
        say "${line%:}"
        continue
        ;;
      "building '/nix/store/"*)
        count=$((count + 1))
        line=${line#"building '/nix/store/"*-}
        words="building $count of $total: ${line%%.drv*}"
        ;;
      "copying path '/nix/store/"*)
        line=${line#"copying path '/nix/store/"*-}
        words="copying ${line%%\'*}"
        ;;
      *) continue ;;
    esac
    read -r now rest </proc/uptime
    now=${now%.*}
    if [ "$now" -lt "$next" ]; then continue; fi
    say "$words"
    next=$((now + 1 + (now - begun) / 10))
  done
}

# rebuild CONFIRMED-BY: make the machine match its files, if it does not already. Steps that wait here for the
# lock find their work done by the first. Fails with the reason in $reason.
rebuild() {
  lock_system
  if a_change_waits; then
    # The step that confirms it rebuilds once more, for what has come since.
    if [ "$1" = left-to-confirm ]; then
      say "left to the confirmation of the change before"
      unlock_system
      return 0
    fi
    say "waiting for the change before to be confirmed"
    until_decided
  fi
  while :; do
    if is_applied "$(fingerprint_of_files "$public")"; then
      all_is_well "$role"
      unlock_system
      return 0
    fi
    # Keys come in a burst: to wait a moment for the others is cheaper than to evaluate once more for them.
    if [ "$1" = left-to-confirm ]; then until_no_more_come; fi
    copy_files
    files=$(fingerprint_of_files "$work/files")
    owners_part=$(fingerprint_of_owners_part)
    say "evaluating the configuration"
    if ! build "$nixos"; then
      reason=$(printf '%s\n' "the configuration does not build, nothing was switched" && last_lines)
      return 1
    fi
    # Files that came in the meantime are built too, before the switch rather than after it.
    [ "$(fingerprint_of_files "$public")" != "$files" ] || break
  done
  if [ "$(fingerprint_of_owners_part)" != "$owners_part" ]; then owners_part=; fi
  check_import && check_unswitched && activate "$1" && unlock_system
}

until_no_more_come() {
  come=
  until [ "$come" = "$(ls "$public/authorized")" ]; do
    come=$(ls "$public/authorized")
    sleep 0.3
  done
}

copy_files() {
  rm -rf "$work/files"
  mkdir "$work/files"
  if [ -d "$public" ]; then cp -R "$public/." "$work/files"; fi
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

# A rebuild activates all that is in the configuration, also what its owner has edited and not yet switched to.
check_unswitched() {
  edits=$(unswitched_edits)
  if [ -z "$edits" ]; then return; fi
  if [ "$only_ours" = yes ]; then
    reason="$edits; nothing was switched
Switch to them first (\`nixos-rebuild switch\`), or set onlyOurs to false."
    return 1
  fi
  say "$edits"
}

# What the configuration with the files as last activated comes to, is that what runs? If not, says so.
unswitched_edits() {
  if ! without=$(evaluated_before || evaluate_as_activated 2>"$work/evaluation"); then
    echo "this change may also activate edits of this machine's configuration that were not switched to yet:" \
      "without it the configuration does not evaluate"
  elif [ "$without" != "$(readlink -f /run/current-system)" ] &&
    [ "$without" != "$(sed -n 2p "$private/applied" 2>"$work/none")" ]; then
    echo "this change also activates edits of this machine's configuration that were not switched to yet"
  fi
}

# Known from then, if $owners_part has not changed since; on a real machine that saves seconds.
evaluated_before() {
  known=$(first_line "$private/evaluated")
  if [ -z "$owners_part" ] || [ "${known%% *}" != "$owners_part" ] || revoked_keys_are_out; then return 1; fi
  echo "${known#* }"
}

evaluate_as_activated() {
  copy_configuration
  if [ -d "$private/activated" ]; then cp -R "$private/activated/." "$work/tree/nixos-cache"; fi
  if [ ! -e "$work/tree/nixos-cache/default.nix" ]; then print_module >"$work/tree/nixos-cache/default.nix"; fi
  if revoked_keys_are_out; then leave_out_revoked_keys; fi
  show_copy_to_git
  evaluate "$work/tree"
}

# The owner's own rebuild, after a revocation, has left them out too.
revoked_keys_are_out() {
  applied=$(first_line "$private/applied")
  [ "${applied%% *}" != "${applied##* }" ] && [ "$(fingerprint_of_system /run/current-system)" = "${applied%% *}" ]
}

leave_out_revoked_keys() {
  for file in "$work/tree/nixos-cache"/authorized/*.pub; do
    if [ ! -e "$private/expected/authorized/${file##*/}" ]; then rm -f "$file"; fi
  done
}

# A copy of the configuration, without our files: what is tried in it touches nothing. Of a repository all but its
# objects, which may be many: it borrows them (gitrepository-layout(5), objects/info/alternates). A .git that only
# names a repository elsewhere would let the copy touch that one; without it, Nix sees a plain folder.
copy_configuration() {
  rm -rf "$work/tree"
  mkdir -p "$work/tree/nixos-cache"
  find "$nixos/" -mindepth 1 -maxdepth 1 ! -name .git ! -name nixos-cache -exec cp -a -t "$work/tree" '{}' +
  if [ ! -d "$nixos/.git" ]; then return; fi
  mkdir -p "$work/tree/.git/objects/info"
  find "$nixos/.git/" -mindepth 1 -maxdepth 1 ! -name objects -exec cp -a -t "$work/tree/.git" '{}' +
  echo "$(readlink -f "$nixos/.git")/objects" >"$work/tree/.git/objects/info/alternates"
}

show_copy_to_git() {
  if [ -e "$work/tree/.git" ]; then
    git -c safe.directory='*' -C "$work/tree" add --intent-to-add --force -- nixos-cache >"$work/git" 2>&1 || :
    git -c safe.directory='*' -C "$work/tree" ls-files --deleted -- nixos-cache | while read -r gone; do
      git -c safe.directory='*' -C "$work/tree" reset --quiet -- "$gone"
    done
  fi
  chown -R root: "$work/tree"
}

# evaluate FOLDER: the store path that the configuration there comes to; builds nothing.
evaluate() {
  (
    trap - PIPE
    if is_flake "$1"; then
      nix --extra-experimental-features 'nix-command flakes' eval --raw \
        "$1#nixosConfigurations.\"${attribute:-$(cat /proc/sys/kernel/hostname)}\".config.system.build.toplevel.outPath"
    else
      path=$(nix-instantiate --eval '<nixpkgs/nixos>' -A config.system.build.toplevel.outPath \
        -I "nixos-config=$1/configuration.nix") && echo "$path" | tr -d '"'
    fi
  ) </dev/null 7>&- 8>&- 9>&-
}

# Ends the step where it fails, and with that puts back what it has kept.
rebuild_or_put_back() {
  if ! rebuild "$1"; then
    fail "${reason:-the machine could not be rebuilt}" "The files in $public are as they were."
  fi
  forget_kept
}
