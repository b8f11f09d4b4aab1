# Building the machine's configuration.

# check_buildable: what it takes is here. Else the step ends, before it has touched anything.
check_buildable() {
  by_owner="Or write rebuild: { by: owner } for this machine, and deploy the settings with the rest of its configuration."
  [ -d "$nixos/." ] || fail "there is no $nixos on this machine, which \`pulumi up\` rebuilds it from" \
    "Make it a link to the folder that has this machine's configuration." "$by_owner"
  as_owner test -w "$nixos/." || fail "$nixos cannot be written on this machine" \
    "Make it a link to a folder that its owner can write, if /etc is read-only (system.etc.overlay.mutable)." "$by_owner"
  command -v nixos-rebuild >/dev/null || fail "there is no nixos-rebuild on this machine" \
    "Take out system.disableInstallerTools, or whatever has taken it away." "$by_owner"
  if is_flake "$nixos"; then
    [ -e "$nixos/flake.nix" ] || fail "there is no $nixos/flake.nix on this machine" "Write rebuild: { from: channel } for it, or leave that out."
  else
    check_channel
  fi
  # Fails where git is needed, and is not there.
  is_repository || :
}

# check_channel: what would be built is what stands in /etc/nixos.
check_channel() {
  [ "$nixos" = /etc/nixos ] ||
    fail "/etc/nixos/flake.nix is a link to $nixos, so that is this machine's configuration" \
      "Take rebuild: { from: channel } out of this machine's settings, or take the link away."
  # shellcheck disable=SC3013 # the same file by two names, in every sh that there is
  if [ -n "$owners_nixos_config" ] && ! [ "$owners_nixos_config" -ef "$nixos/configuration.nix" ]; then
    fail "this machine's configuration is $owners_nixos_config, by the variable NIXOS_CONFIG, and not $nixos/configuration.nix" \
      "Make $nixos a link to its folder, and that file's name configuration.nix." "$by_owner"
  fi
  other=$(nix-instantiate --find-file nixos-system 2>/dev/null) || return 0
  # shellcheck disable=SC3013
  [ "$other" -ef "$nixos/system.nix" ] || fail "this machine's configuration is $other, as <nixos-system> of NIX_PATH" \
    "Take that out of NIX_PATH, so that $nixos counts." "$by_owner"
}

# build FOLDER: what the configuration in that folder comes to, as the store path in $work/result. Its progress goes to
# stdout; the words of a failure are in $log.
build() {
  rm -f "$work/result"
  # To a file: the ssh that Nix fetches with makes a pipe on stderr non-blocking, and Nix's lines are lost when it is
  # full. No lock is handed on: whatever the build leaves running must not hold it.
  : >"$log"
  (trap - PIPE && cd "$work" && nixos_rebuild build "$1") >"$log" 2>&1 </dev/null 8>&- 9>&- &
  tail --lines=+1 --follow --sleep-interval=0.1 --pid=$! "$log" | say_progress
  [ -e "$work/result" ]
}

# nixos_rebuild ACTION FOLDER: as the owner would call it, with sudo if they are not root: Nix and git refuse root a
# repository of anybody but who called sudo. What Nix would write to it, a lock file, would be root's.
nixos_rebuild() {
  SUDO_UID=$(stat -L -c %u "$2")
  export SUDO_UID
  if is_flake "$2"; then
    # Nix takes no link for a flake.
    nixos-rebuild "$1" --flake "$(readlink -f "$2")${attribute:+#$attribute}" --no-write-lock-file
  elif is_system_file "$2"; then
    nixos-rebuild "$1" --file "$2/system.nix"
  elif [ -e "$2/flake.nix" ]; then
    nixos-rebuild "$1" --no-flake -I "nixos-config=$2/configuration.nix"
  else
    nixos-rebuild "$1" -I "nixos-config=$2/configuration.nix"
  fi
}

# is_system_file FOLDER: whether nixos-rebuild builds system.nix there, as it does from NixOS 26.05 on. Before, a file of
# that name was a module like others.
is_system_file() {
  [ -e "$1/system.nix" ] && [ "$(printf '26.05\n%s\n' "$(cat "$current/nixos-version")" | sort -V | head -n 1)" = 26.05 ]
}

is_flake() {
  [ "$rebuild_from" = flake ] || { [ -z "$rebuild_from" ] && [ -e "$1/flake.nix" ]; }
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
      "building '/nix/store/"* | "copying path '/nix/store/"*) ;;
      *) continue ;;
    esac
    case $line in building*) count=$((count + 1)) ;; esac
    read -r now rest </proc/uptime
    now=${now%.*}
    if [ "$now" -lt "$next" ]; then continue; fi
    say "$(in_short "$line" "$count" "$total")"
    next=$((now + 1 + (now - begun) / 10))
  done
}

# in_short LINE COUNT TOTAL: the name of what is built or copied.
in_short() {
  name=${1#*\'/nix/store/*-}
  case $1 in
    building*) echo "building $2 of $3: ${name%%.drv*}" ;;
    *) echo "copying ${name%%\'*}" ;;
  esac
}

# evaluate FOLDER: the store path that the configuration there comes to; builds nothing.
evaluate() {
  (
    trap - PIPE
    if is_flake "$1"; then
      nix --extra-experimental-features 'nix-command flakes' eval --raw \
        "$1#nixosConfigurations.\"${attribute:-$(cat /proc/sys/kernel/hostname)}\".config.system.build.toplevel.outPath"
    elif is_system_file "$1"; then
      path=$(nix-instantiate --eval "$1/system.nix" -A config.system.build.toplevel.outPath) && echo "$path" | tr -d '"'
    else
      path=$(nix-instantiate --eval '<nixpkgs/nixos>' -A config.system.build.toplevel.outPath \
        -I "nixos-config=$1/configuration.nix") && echo "$path" | tr -d '"'
    fi
  ) </dev/null 8>&- 9>&-
}
