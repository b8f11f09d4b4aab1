# Is what is here what our steps last left? Says what is not, and changes nothing.
#
# Each step notes in /var/lib/nixos-cache/expected what it leaves: copies of the public files, hashes of secrets.
# The answer, a line each, in fields separated by tabs: `new`; `helper HASH`; `drift STEP WORDS`; and at last `end`.

observe() {
  if [ ! -d "$private" ]; then
    if has_files || [ "$(fingerprint_of_system /run/current-system)" != none ]; then
      observe_loss
    else
      echo new
    fi
    echo end
    return
  fi
  observe_helper
  observe_changes_that_went_wrong
  observe_files
  observe_secrets
  for role in server client; do
    if [ -e "$private/expected/$role.json" ]; then observe_system; fi
  done
  if [ -e "$private/expected/server.json" ]; then observe_server; fi
  echo end
}

# All that is not public is gone: whatever step there was has to be taken again.
observe_loss() {
  for step in agent signing identity 'settings server' 'settings client' $(names_authorized); do
    found "$(echo "$step" | tr '=' ' ')" "$private is gone"
  done
}

names_authorized() {
  for file in "$public"/authorized/*.pub; do
    name=${file##*/}
    name=${name%.pub}
    if [ -e "$file" ]; then echo "authorization=$(client_of "$name")"; fi
  done
}

observe_helper() {
  if [ ! -e "$private/agent" ]; then
    found agent 'the helper is missing'
    return
  fi
  helper=$(hash_of "$private/agent")
  printf 'helper\t%s\n' "$helper"
  if [ "$helper" != "$(first_line "$private/agent.sha256")" ]; then
    found agent 'the helper was edited by hand'
  fi
}

# found STEP WORDS: STEP is the one that repairs it.
found() {
  printf 'drift\t%s\t%s\n' "$1" "$2"
}

observe_changes_that_went_wrong() {
  for role in server client; do
    if [ -e "$private/reverted-$role" ]; then
      found "settings $role" "went back to the system before: $(head -n 1 "$private/reverted-$role")"
    fi
  done
  if a_change_waits && [ "$(systemctl show --property=ActiveState --value "$(cat "$pending/unit")")" = inactive ]; then
    case $(cat "$pending/role") in
      server | client) found "settings $(cat "$pending/role")" "restarted before the last change was confirmed" ;;
    esac
  fi
}

observe_files() {
  if [ "$(stat -c '%a %u' "$private")" != '700 0' ]; then
    found "settings $(a_role)" "$private was opened to others than root"
  fi
  git_knows=
  if find_repository && owner_git ls-files -- nixos-cache >"$work/known" 2>"$work/none"; then git_knows=$work/known; fi
  for file in default.nix server.json client.json; do
    case $file in
      default.nix) step="settings $(a_role)" ;;
      *) step="settings ${file%.json}" ;;
    esac
    observe_file "$step" "$file"
  done
  for file in "$private"/expected/authorized/*.pub; do
    name=${file##*/}
    name=${name%.pub}
    if [ -e "$file" ]; then
      observe_file "authorization $(client_of "$name")" "authorized/$name.pub"
    fi
  done
  for file in "$public"/authorized/*.pub; do
    name=authorized/${file##*/}
    if [ -e "$file" ] && [ ! -e "$private/expected/$name" ]; then found 'settings server' "$name was added by hand"; fi
  done
}

# A machine may have both parts; what both could repair, one does.
a_role() {
  if [ -e "$private/expected/server.json" ]; then echo server; else echo client; fi
}

observe_file() {
  if [ ! -e "$private/expected/$2" ]; then return; fi
  if [ ! -e "$public/$2" ]; then
    found "$1" "$2 is missing"
  elif ! cmp -s "$private/expected/$2" "$public/$2"; then
    found "$1" "$2 was edited by hand"
  elif [ -n "$git_knows" ] && ! grep -qxF "nixos-cache/$2" "$git_knows"; then
    found "$1" "$2 is hidden from Nix: git does not know it any more"
  fi
}

observe_secrets() {
  for place in 0 1 2 3; do
    strange=$(strange_secret "signing/$place")
    if [ -n "$strange" ]; then found signing "the signing key in place $place $strange"; fi
  done
  strange=$(strange_secret ssh/identity)
  if [ -n "$strange" ]; then found identity "the identity file $strange"; fi
}

# strange_secret FILE: what has become of it, nothing if it is as a step left it.
strange_secret() {
  if [ ! -e "$private/expected/$1" ]; then return; fi
  if [ ! -e "$private/$1" ]; then
    echo "is missing"
  elif [ "$(stat -c '%a %u' "$private/$1")" != '600 0' ]; then
    echo "was opened to others than root"
  elif [ "$(hash_of "$private/$1")" != "$(first_line "$private/expected/$1")" ]; then
    echo "was changed by hand"
  fi
}

expect_secret() {
  if [ -e "$private/$1" ]; then
    hash_of "$private/$1" | write 600 "$private/expected/$1"
  else
    rm -f "$private/expected/$1"
  fi
}

hash_of() {
  hash_of_input <"$1"
}

hash_of_input() {
  sum=$(sha256sum)
  echo "${sum%% *}"
}

observe_system() {
  # While a change waits, what runs is on trial.
  if a_change_waits; then return; fi
  wanted=$(fingerprint_of_files "$private/expected")
  if ! follows "$wanted" /run/current-system; then
    found "settings $role" "runs $(name_of_system /run/current-system)"
  elif ! follows "$wanted" "$profile"; then
    found "settings $role" "will boot $(name_of_system "$profile")"
  fi
  replaced=$(replaced_in_etc)
  if [ -n "$replaced" ]; then found "settings $role" "${replaced% } is not the file of the running system"; fi
  if ! systemctl is-active --quiet nix-daemon.socket nix-daemon.service; then
    found "settings $role" "the Nix daemon was stopped"
  fi
}

# name_of_system SYSTEM: for a person.
name_of_system() {
  generation=
  path=$(readlink -f "$1")
  for link in "$profile"-*-link; do
    if [ "$(readlink -f "$link")" = "$path" ]; then
      number=${link#"$profile"-}
      generation=", generation ${number%-link}"
    fi
  done
  if [ "$(fingerprint_of_system "$1")" = none ]; then
    echo "a configuration without nixos-cache$generation"
  elif [ "$path" = "$(sed -n 2p "$private/applied" 2>"$work/none")" ]; then
    echo "what was last activated, and the files have gone on since"
  else
    echo "another system than the one last activated$generation"
  fi
}

observe_server() {
  if [ ! -e "$private/revoked_keys" ]; then
    found 'settings server' 'the list of revoked keys is missing, so nobody can read'
  elif [ -e "$private/expected/revoked_keys" ] &&
    grep -qvxFf "$private/revoked_keys" "$private/expected/revoked_keys"; then
    found 'settings server' 'a key was taken off the list of revoked keys'
  fi
  ask_sshd
  observe_sshd forcecommand '*/nix-store --serve'
  observe_sshd revokedkeys "$private/revoked_keys"
  observe_sshd disableforwarding yes
  observe_sshd permittty no
}

# observe_sshd KEYWORD PATTERN
observe_sshd() {
  value=$(sshd_says "$1")
  # shellcheck disable=SC2254 # a pattern
  case $value in
    $2) ;;
    *) found 'settings server' "sshd has $1 ${value:-unset} for nix-ssh" ;;
  esac
}
