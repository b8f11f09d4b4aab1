#!/bin/sh
# Fetches the store path that is the first argument, as anybody there would. Answers in fields that tabs separate:
#
#   fetched MILLISECONDS
#   from URL             as Nix said it
#   signed NAME          for each signature, the key's name
#   failed WORDS
#   end
set -u
export NIX_REMOTE=daemon
path=$1
start=$(date +%s%N)
if said=$(timeout 100 nix-store --realise "$path" 2>&1); then
  printf 'fetched\t%s\n' "$((($(date +%s%N) - start) / 1000000))"
  printf '%s\n' "$said" | sed -n "s|^copying path '$path' from '\([^']*\)'.*|from\t\1|p"
  nix --extra-experimental-features nix-command path-info --sigs "$path" 2>/dev/null |
    tr -s ' \t' '\n' | sed -n 's/^\([^/:]*\):.*/signed\t\1/p'
else
  printf 'failed\t%s\n' "$(printf '%s\n' "$said" | tail -n 1)"
fi
echo end
