# The steps that make a machine a server or a client, and the way to all steps.

settings() {
  private_folder ssh
  private_folder signing
  # sshd refuses every key of nix-ssh while this file is missing.
  if [ "$1" = server ] && [ ! -e "$private/revoked_keys" ]; then
    write 600 "$private/revoked_keys" </dev/null
  fi
  cat >"$work/settings.json"
  nix-instantiate --eval --strict --expr "builtins.fromJSON (builtins.readFile $work/settings.json)" >"$log" 2>&1 ||
    fail "the settings did not arrive whole" "$(last_lines)"
  lock_files
  keep "$1.json"
  keep default.nix
  print_module | write 644 "$public/default.nix"
  write 644 "$public/$1.json" <"$work/settings.json"
  sync_index
  unlock_files
  rebuild_or_put_back
  if [ "$1" = server ]; then sign_store; fi
}

remove_settings() {
  lock_files
  keep "$1.json"
  rm -f "$public/$1.json"
  sync_index
  unlock_files
  rebuild_or_put_back
}

# Both parts of one machine, server and client, bring the agent; the last one takes it away.
remove() {
  lock_system
  # The steps of the other part may have keys to take away yet, and need the helper for it.
  if has_files || [ -e "$private/signing/0" ] || [ -e "$private/ssh/identity" ]; then return; fi
  if [ ! -e "$private" ]; then return; fi
  lock_files
  if [ -e "$public/default.nix" ]; then
    keep default.nix
    rm -rf "$public"
    sync_index
    if build; then
      kept=
    else
      say "left an empty module in $public, since the configuration does not build without it:" \
        "remove the line that imports it, then the folder"
    fi
  fi
  rm -rf "$private" /run/nixos-cache
}

# Nobody else reads stdin in these; left unread it could fail the command.
case ${1-} in
  remove* ) cat >/dev/null ;;
esac

case "$#:${1-}:${2-}" in
  2:settings:server | 2:settings:client) settings "$2" ;;
  2:remove-settings:server | 2:remove-settings:client) remove_settings "$2" ;;
  2:signing-key:*) signing_key "$2" ;;
  2:remove-signing-key:*) remove_signing_key "$2" ;;
  2:authorize:*) authorize "$2" ;;
  2:unauthorize:*) unauthorize "$2" ;;
  2:in-use:*) in_use "$2" ;;
  2:revoke:*) revoke "$2" ;;
  1:identity:) identity ;;
  1:remove-identity:) remove_identity ;;
  1:remove:) remove ;;
  *) fail "agent: unknown step: $*" ;;
esac
