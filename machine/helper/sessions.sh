# Connections of nix-ssh. A key that is taken away also ends those that it has opened.

# end_sessions SECONDS: ends every connection of nix-ssh that has not come by a key that sshd would still take. One that
# is only being made may have been let in before the key went: it has a moment to show its key. One that is read from, a
# fetch, has that many seconds to end by itself.
end_sessions() {
  connections=$(sessions_of_sshd)
  [ -n "$connections" ] || return 0
  accepted_keys >"$work/accepted"
  shown_by=$(($(uptime_seconds) + 5))
  ended_by=$(($(uptime_seconds) + $1))
  while [ -n "$connections" ]; do
    undecided=
    for connection in $connections; do
      if came_before_us "$connection" && ! lets_in_only_ours; then continue; fi
      used=$(key_of "$connection")
      if [ -n "$used" ] && grep -qF -- "$used" "$work/accepted"; then continue; fi
      if [ -z "$used" ]; then patient_until=$shown_by; else patient_until=$ended_by; fi
      if [ "$(uptime_seconds)" -lt "$patient_until" ] && { [ -z "$used" ] || is_read_from "$connection"; }; then
        if [ -d "/proc/$connection" ]; then undecided="$undecided $connection"; fi
      else
        end_connection "$connection"
      fi
    done
    connections=$undecided
    if [ -n "$connections" ]; then sleep 0.1; fi
  done
}

# is_read_from CONNECTION: whether more has gone through it in the last 5 seconds than ssh's own signs of life
# (proc_pid_io(5); ssh_config(5), ServerAliveInterval). When it is asked for the first time, nobody knows yet.
is_read_from() {
  sent=$(sed -n 's/^wchar: //p' "/proc/$1/io" 2>/dev/null) || return
  now=$(uptime_seconds)
  if ! read -r sent_before since 2>/dev/null <"$work/read-from.$1"; then
    since=$now
    echo "$sent $now" >"$work/read-from.$1"
  elif [ $((sent - sent_before)) -gt 4096 ]; then
    since=$now
    echo "$sent $now" >"$work/read-from.$1"
    if [ ! -e "$work/waits" ]; then say "a fetch that began with the old key has up to a minute to end"; fi
    : >"$work/waits"
  fi
  [ $((now - since)) -lt 5 ]
}

# end_connection CONNECTION: sshd leaves the file in which it named the key behind.
end_connection() {
  auth=$(auth_file_of "$1")
  kill "$1" 2>/dev/null || :
  case $auth in
    /tmp/sshauth.*/*) ;;
    /tmp/sshauth.*) rm -f "$auth" ;;
  esac
}

# The keys in all files that sshd reads for nix-ssh.
accepted_keys() {
  ask_sshd
  home=$(getent passwd nix-ssh | cut -d: -f6)
  for file in $(sshd_says authorizedkeysfile); do
    case $file in
      none) continue ;;
      *%*) file=$(printf '%s\n' "$file" | sed "s|%h|$home|g; s|%u|nix-ssh|g") ;;
    esac
    case $file in /*) ;; *) file=$home/$file ;; esac
    if [ -f "$file" ]; then cat "$file"; fi
  done
}

# The part of sshd that runs as nix-ssh, one process for each connection. By what nobody else can have: that user's id,
# in this machine's own processes, running sshd's program.
sessions_of_sshd() {
  for process in $(pgrep --uid nix-ssh 2>/dev/null || :); do
    [ "$(readlink "/proc/$process/ns/pid")" = "$(readlink /proc/self/ns/pid)" ] || continue
    case $(readlink "/proc/$process/exe") in
      */sshd | */sshd-session) echo "$process" ;;
    esac
  done
}

# came_before_us CONNECTION: its session began when sshd did not name the key, so before it had our settings, and took none
# of our keys.
came_before_us() {
  for process in $(pgrep --parent "$1" || :); do
    if [ -n "$(environment_of "$process" SSH_CONNECTION)" ]; then
      [ -z "$(environment_of "$process" SSH_USER_AUTH)" ]
      return
    fi
  done
  return 1
}

# key_of CONNECTION: `type base64`. sshd names it to the processes of a session, in a file (sshd_config(5),
# ExposeAuthInfo); a connection without a session, which could open one at any time, has none.
key_of() {
  auth=$(auth_file_of "$1")
  if [ -f "$auth" ]; then head -c 65536 "$auth" | sed -n 's/^publickey //p' | cut -d' ' -f1,2 | sed -n 1p; fi
}

# auth_file_of CONNECTION: that file's path.
auth_file_of() {
  for process in $(pgrep --parent "$1" || :); do environment_of "$process" SSH_USER_AUTH; done | sed -n 1p
}

# environment_of PROCESS NAME: the value of a variable there; nothing where there is none.
environment_of() {
  { head -c 1048576 "/proc/$1/environ" | tr '\0' '\n' | sed -n "s/^$2=//p"; } 2>/dev/null || :
}
