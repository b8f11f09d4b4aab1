# The SSH key that a client reads with.

identity() {
  private_folder ssh
  new=$private/ssh/identity.new
  : >"$work/servers"
  while read -r line && [ -n "$line" ]; do printf '%s\n' "$line" >>"$work/servers"; done
  write 600 "$new"
  if ! ssh-keygen -y -P '' -f "$new" >"$work/public" 2>&1; then
    rm -f "$new"
    fail "the private key did not arrive whole"
  fi
  while read -r address port host_key; do
    check_login
  done <"$work/servers"
  mv -f "$new" "$private/ssh/identity"
  sync "$private/ssh"
  expect_secret ssh/identity
  record "identity $(ssh-keygen -l -f "$private/ssh/identity")"
}

# Reads from the cache with the new key and nothing else: not the configuration, not an older key.
check_login() {
  say "reading from $address with the new key"
  printf 'cache %s\n' "$host_key" >"$work/known_hosts"
  options="-F none -p $port -i $new -o IdentitiesOnly=yes -o BatchMode=yes -o ConnectTimeout=10"
  options="$options -o StrictHostKeyChecking=yes -o HostKeyAlias=cache -o UserKnownHostsFile=$work/known_hosts"
  options="$options -o GlobalKnownHostsFile=/dev/null -o LogLevel=INFO"
  attempts=0
  until NIX_SSHOPTS="$options" timeout 60 nix --extra-experimental-features nix-command \
    store info --store "ssh://nix-ssh@$address" >"$log" 2>&1 </dev/null; do
    attempts=$((attempts + 1))
    # Of many logins at once sshd drops some, before it says anything (sshd_config(5), MaxStartups).
    if [ "$attempts" -ge 5 ] || ! grep -Eq "^(kex_exchange_identification|Connection (closed|reset) by)" "$log"; then
      rm -f "$new"
      fail "this machine cannot read from its cache $address, port $port; the identity file is as it was" "$(last_lines)"
    fi
    say "$address is busy, trying again"
    sleep 1
  done
}

remove_identity() {
  rm -f "$private/ssh/identity"
  expect_secret ssh/identity
}
