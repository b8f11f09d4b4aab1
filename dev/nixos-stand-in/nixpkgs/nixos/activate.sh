#!/bin/sh
# Stand-in for a NixOS system's `activate`: makes accounts and /etc follow the system that this program lies in, and
# makes it the current one. Goes on after a failing step, as NixOS does, and then exits 1.
set -eu
PATH=/usr/sbin:/usr/bin
umask 022
system=$(cd "$(dirname "$0")" && pwd -P)
state=/var/lib/nixos
status=0
mkdir -p "$state" /var/empty /nix/var/nix/gcroots

account() { # FILE NAME: its line in /etc/passwd or /etc/group
  grep "^$2:" "/etc/$1"
}

set_group() { # NAME GID
  account group "$1" > /dev/null || groupadd --system ${2:+--gid "$2"} "$1"
}

set_user() { # NAME UID GROUP HOME SHELL KIND CREATE-HOME EXTRA-GROUPS DESCRIPTION
  if ! account passwd "$1" > /dev/null; then
    kind=--no-user-group
    [ "$6" = normal ] || kind=--system
    useradd $kind --no-create-home ${2:+--uid "$2"} --gid "$3" --home-dir "$4" --shell "$5" --comment "$9" "$1"
  elif ! account passwd "$1" | grep -q ":$(getent group "$3" | cut -d: -f3):[^:]*:$4:$5\$"; then
    usermod --gid "$3" --home "$4" --shell "$5" "$1"
  fi
  if [ -n "$8" ]; then usermod --groups "$8" "$1"; fi
  if [ -n "$7" ] && [ ! -e "$4" ]; then install -d -m 0700 -o "$1" -g "$3" "$4"; fi
}

set_accounts() {
  while IFS=: read -r what a b c d e f g h i; do
    case $what in
      group) set_group "$a" "$b" ;;
      user) set_user "$a" "$b" "$c" "$d" "$e" "$f" "$g" "$h" "$i" ;;
    esac || return
  done < "$system/users"
  # What an earlier system declared and this one does not
  cut -d: -f1,2 "$system/users" > "$state/declared.new"
  touch "$state/declared"
  grep -vxF -f "$state/declared.new" "$state/declared" | sort -r | while IFS=: read -r what name; do
    case $what in
      user) ! account passwd "$name" > /dev/null || userdel --force "$name" 2> /dev/null ;;
      group) ! account group "$name" > /dev/null || groupdel "$name" ;;
    esac || :
  done
  mv "$state/declared.new" "$state/declared"
}

set_etc() {
  ln -sfn "$system/etc" /etc/static.tmp
  mv -T /etc/static.tmp /etc/static
  touch /etc/.clean
  : > /etc/.clean.new
  find "$system/etc/" ! -type d ! -name '*.mode' -printf '%P\n' > "$state/etc"
  while read -r file; do
    mkdir -p "$(dirname "/etc/$file")"
    if [ -e "$system/etc/$file.mode" ]; then
      install -m "$(cat "$system/etc/$file.mode")" "$system/etc/$file" "/etc/$file.tmp"
      echo "$file" >> /etc/.clean.new
    elif [ "$(readlink "/etc/$file")" = "/etc/static/$file" ]; then
      continue
    else
      ln -sfn "/etc/static/$file" "/etc/$file.tmp"
    fi
    mv -T "/etc/$file.tmp" "/etc/$file" || return
  done < "$state/etc"
  {
    grep -vxF -f /etc/.clean.new /etc/.clean
    find /etc -lname '/etc/static/*' ! -exec test -e {} \; -printf '%P\n'
  } > "$state/obsolete"
  while read -r file; do
    echo "removing obsolete file ‘/etc/$file’..." >&2
    rm -f "/etc/$file"
    rmdir --ignore-fail-on-non-empty "$(dirname "/etc/$file")"
  done < "$state/obsolete"
  mv /etc/.clean.new /etc/.clean
}

failed() {
  echo "Activation script snippet '$1' failed" >&2
  status=1
}

set_accounts || failed users
echo "setting up /etc..." >&2
set_etc || failed etc
# Snippets see NixOS' name for the system.
systemConfig=$system bash "$system/activation-scripts" || failed activationScripts

ln -sfn "$system" /run/current-system
ln -sfn /run/current-system /nix/var/nix/gcroots/current-system
ln -sfn /run/booted-system /nix/var/nix/gcroots/booted-system
exit $status
