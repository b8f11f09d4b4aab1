# Whose a machine's roles are. `owners` has a line for each role: ROLE STACK COMPONENT. A step that undoes something
# acts only while the role is still its own: the undo of a component that was renamed or moved comes last, when its
# successor is at work.

# owner_of ROLE: STACK COMPONENT; nothing where the role is nobody's.
owner_of() {
  [ -e "$data/owners" ] || return 0
  while read -r its_role its_owner; do
    if [ "$its_role" = "$1" ]; then echo "$its_owner"; fi
  done <"$data/owners"
}

# belongs_to_another ROLE. What is nobody's, since the list of owners was lost, the step may undo.
belongs_to_another() {
  its=$(owner_of "$1")
  [ -n "$its" ] && [ "$its" != "$owner" ]
}

# refuse_another_stacks ROLE: ends the step, unless the role is this stack's, nobody's, or to be taken over.
refuse_another_stacks() {
  before=$(owner_of "$1")
  if [ -n "$before" ] && [ "${before%% *}" != "${owner%% *}" ] && [ "$take_over" = no ]; then
    fail "this machine is a $1 of the stack ${before%% *} (component ${before#* })" \
      "If that stack is to give it up, take the machine out of its settings, or set takeOver: true for it here; then run \`pulumi up\` again."
  fi
}

# claim ROLE: it is this step's owner's from now on; another component of the same stack hands it on.
claim() {
  before=$(owner_of "$1")
  if [ "$before" = "$owner" ]; then return; fi
  lock_data
  if [ ! -e "$data/owners" ] && [ ! -e "$data/expected" ]; then write 644 "$data/expected" </dev/null; fi
  {
    sed "/^$1 /d" "$data/owners" 2>/dev/null || :
    echo "$1 $owner"
  } >"$work/owners"
  write 644 "$data/owners" <"$work/owners"
  unlock_data
  record "$1 belongs to $owner${before:+, no more to $before}"
}

# release ROLE
release() {
  lock_data
  sed "/^$1 /d" "$data/owners" 2>/dev/null >"$work/owners" || :
  write 644 "$data/owners" <"$work/owners"
  unlock_data
}

has_owner() {
  [ -s "$data/owners" ]
}
