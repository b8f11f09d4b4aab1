# That a change is good: the machine can be reached, and does what it was changed for.

# confirm ROLE: over a new connection; that it has come so far is the first thing that it checks. Stdin: the
# settings that were applied.
confirm() {
  cat >"$work/wanted.json"
  if a_change_waits && [ "$(cat "$pending/role")" = "$1" ]; then
    say "checking the service"
    if service_works "$1"; then decide confirmed; else decide "$reason"; fi
    until_decided
  fi
  if [ -e "$private/reverted-$1" ]; then
    # The first time it is news. The second time it is a later `pulumi up`, which takes the settings for applied.
    if [ ! -e "$private/told-$1" ]; then
      : >"$private/told-$1"
      fail "this machine went back to the system before" "$(cat "$private/reverted-$1")" \
        "The files in $public are as they were. See what is wrong, then run \`pulumi up\` again."
    fi
    settings "$1" self <"$work/wanted.json"
  fi
  service_works "$1" || fail "$reason"
  # For keys that were authorized meanwhile.
  rebuild_or_put_back self
}

# service_works ROLE: else with the reason in $reason.
service_works() {
  case $1 in
    server) serves ;;
    client) asks_the_daemon ;;
  esac
}

# The store as nix-ssh reads it: by the command that sshd forces on it, up to the greeting of the protocol
# (Nix, serve-protocol.hh: SERVE_MAGIC_1 answered by SERVE_MAGIC_2).
serves() {
  ask_sshd
  forced=$(sshd_says forcecommand)
  case $forced in
    *'/nix-store --serve') ;;
    *)
      reason="sshd on this machine does not make nix-ssh serve the store: ForceCommand is ${forced:-not set}"
      return 1
      ;;
  esac
  greeting=$(printf '\353\235\014\071\0\0\0\0\002\002\0\0\0\0\0\0' |
    timeout 30 setpriv --reuid nix-ssh --regid nix-ssh --clear-groups sh -c "$forced" 2>"$log" |
    head -c 4 | od -An -tx1 | tr -d ' ')
  if [ "$greeting" != cbee5254 ]; then
    reason=$(echo "nix-ssh cannot read the store of this machine" && last_lines)
    return 1
  fi
}

# What holds for a login of nix-ssh (sshd(8), -T and -C). NixOS has no sshd on the PATH.
ask_sshd() {
  sshd=$(command -v sshd || systemctl show --property=ExecStart --value sshd | sed -n 's/.*path=\([^ ;]*\).*/\1/p')
  "$sshd" -T -C user=nix-ssh,host=localhost,addr=127.0.0.1 >"$work/sshd" 2>"$log" || :
}

# sshd_says KEYWORD: of what it was asked last.
sshd_says() {
  sed -n "s/^$1 //p" "$work/sshd"
}

asks_the_daemon() {
  if ! timeout 60 nix --extra-experimental-features nix-command store info --store daemon >"$log" 2>&1 </dev/null; then
    reason=$(echo "the Nix daemon of this machine does not answer" && last_lines)
    return 1
  fi
}

# For a step that no other step follows, from the machine itself: sshd has to show the host key on the address
# and port that the operator came in by, and the operator's own connection has to carry what it says.
can_be_reached() {
  rm -f "$pending/asked"
  echo "checking that this machine can be reached" >"$pending/doing"
  read -r operator operators_port address port <"$pending/way-in" || { operator='' && address=127.0.0.1 && port=22; }
  key=/etc/ssh/ssh_host_ed25519_key.pub
  if [ ! -e "$key" ]; then key=$(find /etc/ssh -name 'ssh_host_*_key.pub' | head -n 1); fi
  read -r type blob rest <"$key"
  case $type in ssh-ed25519) name=ed25519 ;; ssh-rsa) name=rsa ;; *) name=ecdsa ;; esac
  within 15 shows_host_key || { echo "sshd does not answer any more on $address, port $port" >"$pending/why" && return 1; }
  # Without that step there is nobody to be heard.
  if [ -n "$operator" ] && within 2 test -e "$pending/asked"; then
    sleep 0.3
    within 15 is_heard || { echo "nothing reaches $operator any more" >"$pending/why" && return 1; }
  fi
  asks_the_daemon || { echo "$reason" >"$pending/why" && return 1; }
}

# Right after a switch sshd may be about to restart.
shows_host_key() {
  ssh-keyscan -T 5 -t "$name" -p "$port" "$address" 2>"$log" | grep -qF -- "$type $blob"
}

# What the step has said last has arrived: nothing is left in the socket's queue (ss(8), Send-Q). A connection that
# was closed meanwhile says nothing about the network.
is_heard() {
  [ "$(ss --no-header --tcp --numeric state established dst "$operator" dport = ":$operators_port" | awk '{ queue += $2 } END { print queue + 0 }')" = 0 ]
}

# within SECONDS COMMAND…: whether it succeeds by then.
within() {
  deadline=$(($(uptime_seconds) + $1))
  shift
  until "$@"; do
    if [ "$(uptime_seconds)" -ge "$deadline" ]; then return 1; fi
    sleep 0.1
  done
}
