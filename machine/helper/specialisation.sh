# A machine may run a specialisation of its system (NixOS, `specialisation`): a variant that is a part of it. A change
# keeps that: what is switched to is the same variant of the new system, while the system itself is what boots.

# running_variant: where what runs is in its system, SYSTEM/specialisation/NAME; nothing where it is no variant.
running_variant() {
  runs=$(readlink -f "$current")
  for variant in "$profile"/specialisation/* "$profile"-*-link/specialisation/*; do
    if [ "$(readlink -f "$variant")" = "$runs" ]; then
      echo "$variant"
      return
    fi
  done
}

# running_system: the system that runs, in whatever variant.
running_system() {
  variant=$(running_variant)
  if [ -n "$variant" ]; then readlink -f "${variant%/specialisation/*}"; else readlink -f "$current"; fi
}

# same_variant SYSTEM: of that system what is like what runs now; where it has none like that, the system.
same_variant() {
  variant=$(running_variant)
  if [ -n "$variant" ] && [ -e "$1/specialisation/${variant##*/}" ]; then
    readlink -f "$1/specialisation/${variant##*/}"
  else
    echo "$1"
  fi
}
