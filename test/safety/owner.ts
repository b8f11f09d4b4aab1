import type { Home } from "../system/home.ts";

/**
 * The owner of a host edits its configuration, and does not switch to it.
 * @param module what comes to the configuration, in the place of the edit before; without it, all is as it was
 */
export function editBy(owner: Home, host: string, module?: string): Promise<string> {
  const file = `/etc/nixos/hosts/${host}.nix`;
  const original = `/var/tmp/${host}.nix`;
  if (module === undefined) {
    return owner.on(
      host,
      `[ ! -e ${original} ] || { cat ${original} >${file} && rm ${original}; }`,
    );
  }
  return owner.on(
    host,
    `[ -e ${original} ] || cp ${file} ${original}
     { echo '{ imports = [ (' && cat && echo ') ];' && sed 1d ${original}; } >${file}`,
    module,
  );
}
