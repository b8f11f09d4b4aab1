# Is what is here what our steps last left? Says what is not, and changes nothing.
#
# The answer is a line each, in fields separated by tabs (machine/observation.ts reads it):
#
#   new IMPORTS            nothing of ours is here; yes or no: whether a file of the configuration names our folder
#   owner ROLE STACK COMPONENT
#   helper HASH            of the helper's list of files
#   runs ROLE HASH         the running system has the role, with this module and these settings
#   drift PART WORDS       PART is repaired by the steps of that name
#   note WORDS             nothing repairs it
#   end                    the last line

# observe: the stack that asks is the first word of the owner; `helper_folder` is where its helper should be.
observe() {
  if [ ! -e "$data/owners" ]; then
    observe_without_owners
  else
    sed 's/ /\t/; s/ /\t/; s/^/owner\t/' "$data/owners"
    if [ ! -e "$data/expected" ]; then found everything "$data/expected is missing"; fi
    observe_helper
    observe_trial
    observe_files
    observe_lines authorized_keys
    observe_lines nix.conf
    observe_modes
    for role in server client; do observe_role "$role"; done
    if [ -n "$(owner_of server)" ] && [ -e "$current/etc/nixos-cache/server.json" ]; then observe_server; fi
    if [ -n "$(owner_of client)" ] && [ -e "$current/etc/nixos-cache/client.json" ]; then observe_client; fi
    observe_folder
  fi
  observe_system_of_roles
  echo end
}

# found PART WORDS
found() {
  printf 'drift\t%s\t%s\n' "$1" "$2"
}

note() {
  printf 'note\t%s\n' "$1"
}

# Nobody knows what there was: whatever step there was has to be taken again.
observe_without_owners() {
  if [ -e "$ours/server.json" ] || [ -e "$ours/client.json" ] || [ -e "$current/etc/nixos-cache/default.nix" ]; then
    if [ -d "$data" ]; then found everything "$data/owners is missing"; else found everything "$data is missing"; fi
  elif [ -e "$current/etc/nixos-cache" ]; then
    # Deployed by its owner, for the first time perhaps.
    found everything "it has settings, and no keys"
  else
    printf 'new\t%s\n' "$(if names_our_folder; then echo yes; else echo no; fi)"
  fi
}

# names_our_folder: whether a file of the configuration does, as far as can be seen without an evaluation.
names_our_folder() {
  [ -d "$nixos/." ] &&
    as_owner find -L "$nixos/." -maxdepth 6 -name '.?*' -prune -o -path '*/./nixos-cache' -prune -o \
      -type f -name '*.nix' -size -1000k -exec grep -hsE -D skip -m 1 '^[^#]*nixos-cache' {} + 2>/dev/null | grep -q .
}

observe_helper() {
  if [ ! -e "$helper_folder/SHA256SUMS" ]; then
    found helper 'the helper is missing'
  elif [ "$here" != "$helper_folder/steps" ] &&
    ! (cd "$helper_folder" && sha256sum --check --status SHA256SUMS); then
    found helper 'the helper was edited by hand'
  else
    hash=$(sha256sum "$helper_folder/SHA256SUMS")
    printf 'helper\t%s\n' "${hash%% *}"
  fi
}

observe_trial() {
  if [ -e "$data/reverted" ]; then
    found "settings $(first_line "$data/reverted")" "$(sed -n 2p "$data/reverted"): $(sed -n 3p "$data/reverted")"
  fi
  if [ ! -d "$trial" ]; then return; fi
  role=$(first_line "$trial/role")
  if [ "$(first_line "$trial/phase")" = writing ]; then
    if no_step_is_at_it; then found "settings $role" "a step was cut off while it changed the files"; fi
  elif unit_is_gone; then
    found "settings $role" "restarted before the last change was confirmed"
  fi
}

no_step_is_at_it() {
  [ ! -e "$run/system.lock" ] || flock --nonblock --shared "$run/system.lock" true
}

# Of the files with a hash in `expected`, those that are not as they were.
observe_files() {
  look_at_ours
  { grep -vF "  $ours/" "$data/expected" || :; } | sha256sum --check 2>/dev/null >"$work/checked" || :
  sed -n "s|  $ours/|  $seen/|p" "$data/expected" | sha256sum --check 2>/dev/null | sed "s|^$seen/|$ours/|" >>"$work/checked" || :
  while IFS= read -r line; do
    file=${line%: *}
    case $line in
      "$data"/*': OK') [ -L "$file" ] || continue ;;
      *': OK') continue ;;
      # Of a system that its owner deploys: observe_system says more.
      "$current"/*) continue ;;
    esac
    part=$(part_of "$file")
    # While a change waits, what stands there is on trial.
    case $part in 'settings '*) [ ! -d "$trial" ] || continue ;; esac
    if [ -e "$file" ]; then found "$part" "${file#"$data"/} was changed by hand"; else found "$part" "${file#"$data"/} is missing"; fi
  done <"$work/checked"
  for file in "$data/secret/signing"/*; do
    if [ -e "$file" ] && ! grep -q "  $file\$" "$data/expected"; then
      found 'keys server' "${file#"$data"/} was added by hand"
    fi
  done
}

# observe_lines NAME: of a file of which each step has its own line. So each of these steps is taken again.
observe_lines() {
  if has_expected_lines "$1"; then return; fi
  if [ -L "$data/$1" ]; then
    how="is a link"
  elif [ ! -e "$data/$1" ]; then
    how="is missing"
  else
    sort "$data/$1" >"$work/there"
    added=$(comm -13 "$work/lines" "$work/there" | wc -l)
    how="was changed by hand (lines added: $added, missing: $(comm -23 "$work/lines" "$work/there" | wc -l))"
  fi
  if [ "$1" = authorized_keys ]; then
    found authorizations "$1 $how"
  else
    for role in server client; do if [ -n "$(owner_of "$role")" ]; then found "keys $role" "$1 $how"; fi; done
  fi
}

# part_of FILE: the steps that make it.
part_of() {
  case $1 in
    */server.json) echo 'settings server' ;;
    */client.json) echo 'settings client' ;;
    "$ours"/*) echo "settings $(a_role)" ;;
    */secret/identity) echo 'keys client' ;;
    */secret/*) echo 'keys server' ;;
    *) echo "keys $(a_role)" ;;
  esac
}

# A machine may have both roles; what both could repair, one does.
a_role() {
  if [ -n "$(owner_of server)" ]; then echo server; else echo client; fi
}

# Secrets that others than root can read, public files that others can write, or cannot read.
observe_modes() {
  open=$(find "$data/secret" ! -type l \( ! -user root -o -perm /077 \) -printf '%P ' 2>/dev/null)
  if [ -n "$open" ]; then found "keys $(a_role)" "secret/${open% } was opened to others than root"; fi
  open=$(find -H "$data" ! -type l \( ! -user root -o -perm /022 \) -printf '%f ' 2>/dev/null)
  if [ -n "$open" ]; then found "keys $(a_role)" "others than root can write ${open% }"; fi
  closed=$(find -H "$data" -maxdepth 1 \( -path "$data" ! -perm -055 -o \( -name authorized_keys -o -name nix.conf \) ! -perm -044 \) \
    -printf '%f ')
  if [ -n "$closed" ]; then found "keys $(a_role)" "others than root cannot read ${closed% }"; fi
}

# observe_role ROLE
observe_role() {
  if [ -n "$(owner_of "$1")" ]; then
    observe_system "$1"
  elif [ -e "$ours/$1.json" ]; then
    found "settings $1" "$data/owners does not say whose it is as a $1"
  fi
}

# What the running system was built from, for each role that it has.
observe_system_of_roles() {
  for role in server client; do
    if [ ! -e "$current/etc/nixos-cache/$role.json" ]; then continue; fi
    # shellcheck disable=SC2086 # names of files
    printf 'runs\t%s\t%s\n' "$role" "$(cd "$current/etc/nixos-cache" && cat $module_files "$role.json" 2>/dev/null | sha256sum | cut -d' ' -f1)"
  done
}

# observe_system ROLE
observe_system() {
  # While a change waits, what runs is on trial.
  if [ -d "$trial" ]; then return; fi
  if grep -qs "  $current/etc/nixos-cache/$1.json\$" "$data/expected"; then
    observe_deployed "$1"
  elif [ -e "$ours/$1.json" ] || [ ! -e "$current/etc/nixos-cache/$1.json" ]; then
    if ! follows "$seen" "$current" || [ ! -e "$current/etc/nixos-cache/$1.json" ]; then
      found "settings $1" "runs $(name_of_system "$current")"
    elif [ "$(readlink -f "$current")" != "$(readlink -f "$profile")" ] && ! follows "$seen" "$profile"; then
      found "settings $1" "will boot $(name_of_system "$profile")"
    fi
  fi
  replaced=$(replaced_in_etc)
  if [ -n "$replaced" ]; then found "settings $1" "${replaced% } is not the file of the running system"; fi
  if daemon_is_stopped; then found "settings $1" "the Nix daemon was stopped"; fi
}

# observe_deployed ROLE: where the owner deploys the settings, no step of ours can repair them.
observe_deployed() {
  deployed=$current/etc/nixos-cache/$1.json
  if [ ! -e "$deployed" ]; then
    found "settings $1" "its owner has deployed a system without services.nixos-cache.$1"
  elif ! grep -qxF "$deployed: OK" "$work/checked"; then
    found "settings $1" "its owner has deployed other settings"
  fi
}

# name_of_system SYSTEM: for a person.
name_of_system() {
  path=$(readlink -f "$1")
  generation=
  for link in "$profile"-*-link; do
    if [ "$(readlink -f "$link")" = "$path" ]; then
      number=${link#"$profile"-}
      generation=", generation ${number%-link}"
    fi
  done
  if [ -e "$1/etc/nixos-cache" ]; then
    echo "another system than the one last activated$generation"
  else
    echo "a configuration without nixos-cache$generation"
  fi
}

# In nix.conf the newest key stands first, twice (signing.sh). Others are there for clients that could not be updated.
observe_signing_keys() {
  older=$(expected_lines nix.conf | sed -n "s|$signing/||g; s/^extra-secret-key-files = [^ ]* [^ ]* //p")
  if [ -n "$older" ]; then note "also signs with an older key, $older: a client trusts no newer one yet"; fi
}

observe_server() {
  observe_signing_keys
  ask_sshd
  # While sshd's answer is missing, nothing is known.
  if [ ! -s "$work/sshd" ]; then return; fi
  observe_sshd forcecommand '*-nixos-cache-serve'
  observe_sshd authorizedkeysfile "$data/authorized_keys *"
  observe_sshd disableforwarding yes
  observe_sshd permittty no
  # Lines of this stack end in its name and a component's.
  accepted_keys | STACK=${owner%% *} awk 'NF && !/^#/ && !((NF == 4 || NF == 5) && $(NF - 1) == ENVIRON["STACK"])' | sort -u >"$work/strangers"
  if [ -s "$work/strangers" ]; then
    number=$(wc -l <"$work/strangers")
    note "nix-ssh also lets in $number key$([ "$number" = 1 ] || echo s) not of this stack: $(fingerprints "$work/strangers" | cut -d' ' -f2 | tr '\n' ' ')"
  fi
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

# What root's own ~/.ssh/config says comes before ours (ssh_config(5)), and no system's configuration can change that.
observe_client() {
  sed 's/"address":/\n&/g' "$current/etc/nixos-cache/client.json" |
    sed -n 's/^"address":"\([^"]*\)".*"port":\([0-9]*\).*/\1 \2/p' >"$work/addresses"
  while read -r address port; do
    ssh -G "nix-ssh@$address" >"$work/ssh" 2>/dev/null </dev/null || continue
    other=
    for line in "hostkeyalias $address.nixos-cache" "port $port" 'stricthostkeychecking true' 'userknownhostsfile /dev/null'; do
      grep -qixF "$line" "$work/ssh" || other="$other ${line%% *}"
    done
    grep -qi '^proxycommand .*nixos-cache-guard' "$work/ssh" || other="$other proxycommand"
    if [ -n "$other" ]; then note "for the cache $address /root/.ssh/config takes the place of our settings:$other"; fi
  done <"$work/addresses"
}

# Our folder in the configuration, as git and Nix see it.
observe_folder() {
  if [ ! -e "$ours/host" ] || ! is_repository; then return; fi
  hidden=$(hidden_from_nix | tr '\n' ' ')
  if [ -n "$hidden" ]; then found "settings $(a_role)" "${hidden% } hidden from Nix: git does not know it any more"; fi
  if [ -n "$(owner_git ls-tree --name-only HEAD -- nixos-cache 2>/dev/null)" ]; then
    note "$ours was committed to git, and belongs to this machine alone: git -C $nixos rm -r --cached nixos-cache, and commit that"
  fi
}
