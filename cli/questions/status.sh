#!/bin/sh
# How much is in a machine's store, and what came from its caches. Changes nothing. Answers in fields that tabs separate:
#
#   free BYTES                         on the file system of the store
#   store PATHS BYTES                  the sizes of the paths as archives (NAR)
#   fetched SERVER PATHS BYTES SECONDS paths that were built elsewhere and have a signature of that server; when the last
#                                      of them came, since 1970
#   end
#
# A signature is by a key that is named after its server and a time: kalaw-20260131T235959Z.
set -u
free=$(df --output=avail --block-size=1 /nix/store | tail -n 1)
printf 'free\t%s\n' "${free##* }"

# info ARGUMENT…: what the store knows of paths, as JSON.
info() {
  timeout 20 nix --extra-experimental-features nix-command path-info --json "$@" 2>/dev/null
}
# Newer versions of Nix have several forms of it (nix3-path-info(1)).
if info --json-format 1 /run/current-system >/dev/null; then format='--json-format 1'; else format=; fi
# shellcheck disable=SC2086 # words
info --all $format | awk '
  BEGIN { RS = "\"narHash\""; OFS = "\t" }
  function number(name) {
    if (!match($0, "\"" name "\":[0-9]+")) return 0
    return substr($0, RSTART + length(name) + 3, RLENGTH - length(name) - 3) + 0
  }
  NR > 1 {
    size = number("narSize")
    paths++
    bytes += size
    if (/"ultimate":true/ || !match($0, /"signatures":\[[^]]*\]/)) next
    count = split(substr($0, RSTART, RLENGTH), word, "\"")
    split("", seen)
    for (i = 1; i <= count; i++) {
      if (!match(word[i], /-[0-9]+T[0-9]+Z:/)) continue
      server = substr(word[i], 1, RSTART - 1)
      if (server in seen) continue
      seen[server]
      came[server]++
      amount[server] += size
      if (number("registrationTime") > last[server]) last[server] = number("registrationTime")
    }
  }
  END {
    if (paths > 0) printf "store\t%d\t%.0f\n", paths, bytes
    for (server in came) printf "fetched\t%s\t%d\t%.0f\t%d\n", server, came[server], amount[server], last[server]
  }
'
echo end
