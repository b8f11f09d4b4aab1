# The SSH key that a client reads with, and the keys that it trusts the caches by.
secret=$data/secret

# Proves the new key before it takes the old one's place. While a server of another stack does not let it in, the one that is
# there stays. Last it says which key is in use, for other stacks to know. It also confirms the client's settings, over the new
# connection that it comes by.
identity() {
  IFS= read -r settings || :
  printf '%s\n' "$settings" >"$work/settings"
  while IFS= read -r line && [ -n "$line" ]; do printf '%s\n' "$line"; done >"$work/servers"
  (umask 077 && cat >"$work/identity")
  ssh-keygen -y -P '' -f "$work/identity" >"$work/identity.pub" 2>"$log" || fail "the private key did not arrive whole"
  confirm client "$work/settings"
  make_data_folder
  waits=
  while read -r address port type blob trusted_key whose; do
    [ -n "$trusted_key" ] || fail "the list of servers did not arrive whole"
    case $whose in
      waits) waits="$waits $address" ;;
      *) prove "$address" "$port" "$type $blob" "$whose" </dev/null ;;
    esac
  done <"$work/servers"
  if [ -n "$waits" ] && is_expected "$secret/identity"; then
    say "goes on with the key that it has, until these let in the new one:$waits"
  elif ! cmp -s "$work/identity" "$secret/identity" || ! is_expected "$secret/identity"; then
    put 600 "$secret/identity" <"$work/identity"
    record "identity $(fingerprints "$work/identity.pub")"
  fi
  lock_data
  set_nix_conf extra-trusted-public-keys "$(cut -d' ' -f5 "$work/servers" | tr '\n' ' ' | sed 's/ $//')"
  unlock_data
  # What the guard has found before does not count any more (nixos/module.nix).
  rm -f "$run"/*.unreachable
  say "reads with $(ssh-keygen -y -P '' -f "$secret/identity" | cut -d' ' -f1,2)"
}

# prove ADDRESS PORT HOST-KEY WHOSE: reads a path from the cache with the new key and nothing else: not the configuration, not
# an older key. WHOSE is `other` for a cache of another stack, which has to be told of the key.
prove() {
  if cmp -s "$work/identity" "$secret/identity"; then say "reading from $1 with its key"; else say "reading from $1 with the new key"; fi
  printf 'cache %s\n' "$3" >"$work/known_hosts"
  if read_patiently "$(protocol_for "$1")" "$work/identity" "$work/known_hosts" "$1" "$2"; then return; fi
  if [ "$4" = other ] && grep -q 'Permission denied (' "$log"; then
    fail "the cache $1, port $2, does not let in this machine's new key; its key is as it was" \
      "Give this line to whoever runs that cache (otherClients in its stack), then run \`pulumi up\` again:" \
      "$(cut -d' ' -f1,2 "$work/identity.pub") ${owner#* }"
  fi
  fail "this machine cannot read from its cache $1, port $2; its key is as it was" "$(last_lines)"
}

# protocol_for ADDRESS: the one that this machine fetches by, from the substituter in its nix.conf.
protocol_for() {
  place=$1
  case $1 in *:*) place="[$1]" ;; esac
  if tr ' ' '\n' <"$current/etc/nix/nix.conf" | sed 's/?.*//' | grep -qxF "ssh-ng://nix-ssh@$place"; then
    echo ssh-ng
  else
    echo ssh
  fi
}

# read_patiently: read_probe, again while sshd has said nothing yet: it may be about to restart, or drop some of many
# logins at once (sshd_config(5), MaxStartups). Not after a refusal, which sshd would penalise.
read_patiently() {
  for pause in 0.3 1 2 4 0; do
    if read_probe "$@"; then return; fi
    grep -Eq "^(kex_exchange_identification|Connection (closed|reset) by|ssh: .*Connection refused)" "$log" || return 1
    [ "$pause" = 0 ] || sleep "$pause"
  done
  return 1
}

# read_probe PROTOCOL IDENTITY KNOWN-HOSTS ADDRESS PORT: as user nix-ssh there. The words of a failure are in $log.
read_probe() {
  probe=$(readlink -f "$current/etc/nixos-cache/probe")
  # A link-local address has a zone after a `%`, which ssh would expand.
  host=$(printf '%s\n' "$4" | sed 's/%/%%/g')
  options="-F none -i $2 -o UserKnownHostsFile=$3 -o HostName=$host -p $5 -o HostKeyAlias=cache -o IdentitiesOnly=yes"
  options="$options -o BatchMode=yes -o ConnectTimeout=10 -o StrictHostKeyChecking=yes -o GlobalKnownHostsFile=/dev/null"
  NIX_SSHOPTS="$options -o LogLevel=INFO" timeout 60 nix --extra-experimental-features nix-command \
    store dump-path --store "$1://nix-ssh@cache" "$probe" >"$work/probe" 2>"$log" </dev/null || return
  if ! nix-store --dump "$probe" | cmp -s - "$work/probe"; then
    echo "it answered with something else than asked for" >"$log"
    return 1
  fi
}

remove_identity() {
  cat >/dev/null
  if [ ! -d "$data" ] || belongs_to_another client; then return; fi
  drop "$secret/identity"
  lock_data
  set_nix_conf extra-trusted-public-keys ''
  unlock_data
}
