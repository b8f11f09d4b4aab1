# Two files of ours have lines of several steps: authorized_keys one for each client's key, nix.conf one for each
# keyword. A step answers for its own line alone, so `expected` has these by the line, as `line NAME TEXT`: what another
# step has to repair is still missed when this one is done.

# expected_lines NAME
expected_lines() {
  sed -n "s/^line $1 //p" "$data/expected" 2>/dev/null || :
}

# has_expected_lines NAME: whether the file has these, and no others.
has_expected_lines() {
  if [ -L "$data/$1" ]; then return 1; fi
  expected_lines "$1" | sort >"$work/lines"
  { sort "$data/$1" 2>/dev/null || :; } | cmp -s - "$work/lines"
}

# write_lines NAME LINE FILTER…: of the lines that steps have written, those stay that pass the filter, a command; LINE
# comes to them, if it is not empty; and all others go. The lock on the data is held, until expect_lines NAME.
write_lines() {
  name=$1
  line=$2
  shift 2
  expected_lines "$name" | "$@" >"$work/kept" || :
  grep -sxFf "$work/kept" "$data/$name" >"$work/lines" || :
  if [ -n "$line" ]; then
    printf '%s\n' "$line" >>"$work/kept"
    printf '%s\n' "$line" >>"$work/lines"
  fi
  sort -o "$work/lines" "$work/lines"
  if [ ! -s "$work/lines" ]; then
    rm -f "$data/$name"
  elif [ -L "$data/$name" ] || ! cmp -s "$work/lines" "$data/$name"; then
    write 644 "$data/$name" <"$work/lines"
  fi
}

expect_lines() {
  {
    grep -sv "^line $1 " "$data/expected" || :
    sed "s/^/line $1 /" "$work/kept"
  } >"$work/expected"
  write_expected
}

# no_lines: a filter that nothing passes.
no_lines() {
  cat >/dev/null
}
