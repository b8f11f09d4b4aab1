# /var/lib/nixos-cache/nix.conf, which the system's nix.conf includes: which keys sign, and which are trusted. It names
# only files that are there, and everybody may read it: Nix drops all of its settings where it cannot (nix.conf(5)).

# set_nix_conf KEYWORD VALUES: the line of that keyword; without values, none. The lock on the data is held. The daemon
# reads it when it starts; builds that are running go on (its unit has KillMode=process). The line is expected only then,
# so a step that was killed before is made good.
set_nix_conf() {
  line=${2:+$1 = $2}
  if [ "$(grep -s "^$1 = " "$data/nix.conf")" = "$line" ] && has_expected_lines nix.conf; then
    return
  fi
  write_lines nix.conf "$line" grep -v "^$1 = "
  # Not while systemd re-executes itself.
  within 10 restart_daemon || fail "the Nix daemon does not start again" "$(last_lines)"
  expect_lines nix.conf
}

restart_daemon() {
  systemctl try-restart nix-daemon.service >"$log" 2>&1
}
