# Words to the person at `pulumi up`, and to whoever reads the log. Lines stay short: a very long one would hang the
# command plugin.

say() {
  { printf '%.400s\n' "$*" | plain; } || :
}

# fail LINE…: ends the step.
fail() {
  printf '%s\n' "$@" | cut -c1-400 | plain >&2 || :
  exit 1
}

# plain: a filter, without what would act on a terminal or hide there: control characters (but tabs), and those of
# Unicode that turn the direction of text or have no width. A build, or who deploys the machine, may print anything.
plain() {
  tr -d '\000-\010\013-\037\177' |
    sed 's/\xc2[\x80-\x9f]//g; s/\xe2\x80[\x8b-\x8f\xa8-\xae]//g; s/\xe2\x81[\xa0-\xaf]//g; s/\xef\xbb\xbf//g'
}

last_lines() {
  printf '%s\n' '--- last lines:'
  tail -n 15 "$log" | cut -c1-400
}

# first_line FILE: nothing where there is none.
first_line() {
  line=
  { read -r line <"$1"; } 2>/dev/null || :
  printf '%s\n' "$line"
}

# record WORDS: a line in the log that a person may read, never with a secret. A full disk is no reason to stop.
record() {
  { printf '%s %s\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$*" >>"$data/log"; } 2>/dev/null || :
}

uptime_seconds() {
  uptime=$(first_line /proc/uptime)
  echo "${uptime%%.*}"
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
