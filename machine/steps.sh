# The steps that make a machine a server or a client, and the way to all steps.

# settings ROLE CONFIRMED-BY
settings() {
  role=$1
  chmod 700 "$private"
  private_folder ssh
  private_folder signing
  # sshd refuses every key of nix-ssh while this file is missing.
  if [ "$1" = server ]; then restore_revoked_keys; fi
  cat >"$work/settings.json"
  nix-instantiate --eval --strict --expr "builtins.fromJSON (builtins.readFile $work/settings.json)" >"$log" 2>&1 ||
    fail "the settings did not arrive whole" "$(last_lines)"
  end_of_change_before
  lock_files
  keep "$1.json"
  keep default.nix
  print_module | place default.nix
  place "$1.json" <"$work/settings.json"
  if [ "$1" = server ]; then remove_strange_keys; fi
  sync_index
  unlock_files
  rebuild_or_put_back "$2"
  if [ "$1" = server ]; then sign_store; fi
}

remove_settings() {
  role=$1
  end_of_change_before
  role=self
  lock_files
  keep "$1.json"
  drop "$1.json"
  sync_index
  unlock_files
  rebuild_or_put_back self
}

# Both parts of one machine, server and client, bring the agent; the last one takes it away.
remove() {
  lock_system
  # The steps of the other part may have keys to take away yet, and need the helper for it.
  if has_files || [ -e "$private/signing/0" ] || [ -e "$private/ssh/identity" ]; then return; fi
  if [ ! -e "$private" ]; then return; fi
  lock_files
  if [ -e "$public/default.nix" ]; then
    copy_configuration
    rmdir "$work/tree/nixos-cache"
    show_copy_to_git
    if evaluate "$work/tree" >"$log" 2>&1; then
      rm -rf "$public"
      sync_index
    else
      say "left an empty module in $public, since the configuration does not build without it:" \
        "remove the line that imports it, then the folder"
    fi
  fi
  rm -rf "$private" /run/nixos-cache
}

# `pulumi up` may say why a step is run again: words for who reads the command.
if [ $# -ge 2 ]; then
  eval "last_but_one=\${$(($# - 1))}"
  # shellcheck disable=SC2154 # eval sets it
  if [ "$last_but_one" = --because ]; then
    case $# in
      3) set -- "$1" ;;
      4) set -- "$1" "$2" ;;
    esac
  fi
fi

# Nobody else reads stdin in these; left unread it could fail the command.
case ${1-} in
  remove* ) cat >/dev/null ;;
esac

# What was cut off before is taken back before anything new; but for looking on.
case ${1-} in
  observe | plan | switch | revert | confirm) ;;
  *) if [ -d "$private" ]; then take_back_what_was_cut_off; fi ;;
esac

role=self
case "$#:${1-}:${2-}" in
  2:settings:server | 2:settings:client) settings "$2" operator ;;
  2:confirm:server | 2:confirm:client) confirm "$2" ;;
  2:remove-settings:server | 2:remove-settings:client) remove_settings "$2" ;;
  2:signing-key:*) signing_key "$2" ;;
  2:remove-signing-key:*) remove_signing_key "$2" ;;
  2:authorize:*) authorize "$2" ;;
  2:in-use:*) in_use "$2" ;;
  2:revoke:*) revoke "$2" ;;
  1:identity:) identity ;;
  1:remove-identity:) remove_identity ;;
  1:remove:) remove ;;
  1:observe:) observe ;;
  2:plan:server | 2:plan:client) plan "$2" ;;
  1:switch:) switch ;;
  1:revert:) revert ;;
  *) fail "agent: unknown step: $*" ;;
esac
