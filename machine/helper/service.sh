# That a change is good: the machine can be reached, and does what it was changed for.

# works ROLE: else the reason is in $work/reason.
works() {
  case $1 in
    server) serves ;;
    client) asks_the_daemon ;;
  esac
}

# Whether user nix-ssh is let in and can read a path, as a client would: by a key that only this check has, which sshd
# takes from a file of its own while the check lasts. By ssh-ng, which every Nix serves; coming ones have no `ssh`
# (`nix-store --serve`), and a client that uses it checks that itself.
serves() {
  # shellcheck disable=SC2046 # words
  set -- $(way_in)
  address=${3-127.0.0.1}
  port=${4-22}
  rm -f "$work/check" "$work/check.pub"
  ssh-keygen -q -t ed25519 -N '' -C '' -f "$work/check"
  own_host_keys >"$work/known_hosts"
  make_run_folder
  write 644 "$run/check_key" <"$work/check.pub"
  if read_patiently ssh-ng "$work/check" "$work/known_hosts" "$address" "$port"; then
    rm -f "$run/check_key"
    return
  fi
  rm -f "$run/check_key"
  { echo "user nix-ssh cannot read from this machine, at $address port $port" && last_lines; } >"$work/reason"
  return 1
}

# This machine's own host keys, as lines of a known_hosts file for the name `cache`. The public half need not stand
# beside a key that came from elsewhere (sops-nix, agenix).
own_host_keys() {
  ask_sshd
  for key in $(sshd_says hostkey); do
    { cat "$key.pub" 2>/dev/null || ssh-keygen -y -P '' -f "$key" 2>/dev/null || :; } | cut -d' ' -f1,2 | sed 's/^/cache /'
  done
}

# What holds for a login of nix-ssh (sshd(8), -T and -C). NixOS may have no sshd on the PATH.
ask_sshd() {
  sshd=$(command -v sshd || systemctl show --property=ExecStart --value sshd | sed -n 's/.*path=\([^ ;]*\).*/\1/p')
  "$sshd" -T -C user=nix-ssh,host=localhost,addr=127.0.0.1 2>"$log" | sed 's/^[^ ]*/\L&/' >"$work/sshd" || :
}

# sshd_says KEYWORD, in small letters: of what it was asked last.
sshd_says() {
  sed -n "s/^$1 //p" "$work/sshd"
}

# While systemd does not answer, nobody knows.
daemon_is_stopped() {
  systemctl is-active nix-daemon.socket nix-daemon.service >"$work/daemon" 2>/dev/null || :
  [ -s "$work/daemon" ] && ! grep -qvx 'inactive\|failed' "$work/daemon"
}

start_daemon() {
  if ! daemon_is_stopped; then return; fi
  systemctl start nix-daemon.socket >"$log" 2>&1 || systemctl start nix-daemon.service >"$log" 2>&1 ||
    fail "the Nix daemon of this machine was stopped, and does not start" "$(last_lines)"
}

asks_the_daemon() {
  if ! timeout 60 nix --extra-experimental-features nix-command path-info --store daemon \
    "$(readlink -f "$current")" >"$log" 2>&1 </dev/null; then
    { echo "the Nix daemon of this machine does not answer" && last_lines; } >"$work/reason"
    return 1
  fi
}

# way_in: the operator's own connection: address and port there, and here. sudo hides them, the processes above know;
# for the unit, which has none, the change on trial has kept them.
way_in() {
  process=$$
  while [ "${process:-0}" -gt 1 ]; do
    way=$(environment_of "$process" SSH_CONNECTION)
    if [ -n "$way" ]; then
      echo "$way"
      return
    fi
    process=$(sed -n 's/^PPid:[[:space:]]*//p' "/proc/$process/status" 2>/dev/null)
  done
  if [ -e "$trial/way-in" ]; then cat "$trial/way-in"; fi
}

# can_be_reached: for a step that no other step follows, from the machine itself: sshd has to show the host key on the
# address and port that the operator came in by, and the operator's own connection has to carry what the step says.
can_be_reached() {
  # shellcheck disable=SC2046 # words
  set -- $(way_in)
  address=${3-127.0.0.1}
  port=${4-22}
  own_host_keys | cut -d' ' -f2,3 >"$work/host-keys"
  within 15 shows_host_key "$address" "$port" ||
    { echo "sshd does not answer any more on $address, port $port" >"$work/reason" && return 1; }
  # Without the step that waits for this there is nobody to be heard.
  if [ -n "${1-}" ] && within 2 test -e "$run/trial-$(first_line "$trial/id")/asked"; then
    sleep 0.3
    within 15 is_heard "$1" "$2" || { echo "nothing reaches $1 any more" >"$work/reason" && return 1; }
  fi
}

# shows_host_key ADDRESS PORT: right after a switch sshd may be about to restart.
shows_host_key() {
  ssh-keyscan -T 5 -p "$2" "$1" 2>"$log" | cut -d' ' -f2,3 | grep -qxFf "$work/host-keys"
}

# is_heard ADDRESS PORT: what the step has said last has arrived: nothing is left in the socket's queue (ss(8),
# Send-Q). A connection that was closed meanwhile says nothing about the network.
is_heard() {
  peer=$1
  # ss knows an IPv6 address by its brackets, and no zone.
  case $peer in *:*) peer="[${peer%%\%*}]" ;; esac
  [ "$(ss --no-header --tcp --numeric state established dst "$peer" dport = ":$2" |
    awk '{ queue += $2 } END { print queue + 0 }')" = 0 ]
}
