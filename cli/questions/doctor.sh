#!/bin/sh
# What can be wrong with a machine beside drift, which `observe` of the helper tells. Changes nothing.
# Its arguments are the servers that it fetches from, four words each: ADDRESS PORT and the host key, TYPE BASE64.
# Answers in fields that tabs separate:
#
#   nixos VERSION                of the running system; without it, this is no NixOS
#   nix VERSION
#   time SECONDS                 since 1970
#   sftp WORDS                   what sshd offers as the subsystem sftp; without it, it offers none
#   import yes|no                whether a file of the configuration names our folder
#   free FOLDER BYTES INODES     where the folder is; inodes are 0 where the file system does not count them
#   volatile FOLDER TYPE         the folder is on a file system that is memory
#   setting NAME VALUE           of Nix, as root has it
#   daemon WORDS                 how nix-daemon.socket is
#   name ADDRESS known|unknown   whether this machine resolves it
#   reach ADDRESS yes|WORDS      whether nix-ssh there lets this machine's key in, or what ssh says
#   end
set -u
export HOME=/root NIX_REMOTE=daemon
work=$(mktemp -d /run/nixos-cache-call.XXXXXX) || exit
trap 'rm -rf "$work"' EXIT
trap 'exit 143' INT TERM

if [ -e /etc/NIXOS ] && [ -e /run/current-system/nixos-version ]; then answer nixos "$(cat /run/current-system/nixos-version)"; fi
answer nix "$(nix --version 2>/dev/null | sed 's/.* //')"
answer time "$(date +%s)"
sshd -T 2>/dev/null | sed -n 's/^subsystem sftp /sftp\t/p'
answer daemon "$(systemctl is-active nix-daemon.socket 2>/dev/null)"

named=$(importing "$(readlink -f /etc/nixos)")
answer import "$(if [ -n "$named" ]; then echo yes; else echo no; fi)"

for folder in /nix/store /var/lib /etc/nixos /boot; do
  [ -d "$folder" ] || continue
  df --output=avail,iavail,itotal --block-size=1 "$folder" 2>/dev/null | tail -n 1 | {
    read -r bytes inodes all
    # A file system without a count of inodes has no end of them.
    if [ "$all" = 0 ] || [ "$all" = - ]; then inodes=; fi
    answer free "$folder" "$bytes" "${inodes:-none}"
  }
done
for folder in /nix/store /var/lib/nixos-cache /etc/nixos /etc/ssh; do
  type=$(stat -L -f -c %T "$folder" 2>/dev/null)
  case $type in tmpfs | ramfs) answer volatile "$folder" "$type" ;; esac
done

nix_settings | sed -n 's/^\(substituters\|trusted-public-keys\|secret-key-files\|allowed-users\|substitute\|fallback\|require-sigs\) = /setting\t\1\t/p'

# Without the configuration of ssh and the guard, so that what is wrong between the two machines is told by ssh itself.
while [ $# -ge 4 ]; do
  if getent ahosts "$1" >/dev/null; then
    answer name "$1" known
    printf 'cache %s %s\n' "$3" "$4" >"$work/known_hosts"
    timeout 10 ssh -F none -T -p "$2" -i /var/lib/nixos-cache/secret/identity -o IdentitiesOnly=yes -o BatchMode=yes \
      -o ConnectTimeout=5 -o StrictHostKeyChecking=yes -o HostKeyAlias=cache -o GlobalKnownHostsFile=/dev/null \
      -o UserKnownHostsFile="$work/known_hosts" -o LogLevel=INFO "nix-ssh@$1" nix-store --serve >/dev/null 2>"$work/said" </dev/null
    case $? in
      255) answer reach "$1" "$(grep -v '^Warning: Permanently added' "$work/said" | grep -m 1 -iE 'denied|verification failed|resolve|refused|timed out|route|closed|reset' || tail -n 1 "$work/said")" ;;
      124) answer reach "$1" 'no answer within 10 seconds: timed out' ;;
      *) answer reach "$1" yes ;;
    esac
  else
    answer name "$1" unknown
  fi
  shift 4
done
echo end
