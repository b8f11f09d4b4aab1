import { helperFiles } from "../../machine/helper.ts";
import type { Home } from "../system/home.ts";

/** Our module, as an owner has it in their configuration, seen from what `deploy` takes. */
export const moduleFile = "../services-nixos-cache/module.nix";

/** An owner's configuration takes our module in, beside the machine's own files. */
export async function takeModuleIn(home: Home, host: string): Promise<void> {
  for (const { path, text } of helperFiles) {
    const file = /^nixos\/(.*)$/.exec(path)?.[1];
    if (file !== undefined) await write(home, host, `services-nixos-cache/${file}`, text);
  }
}

/** Writes a file to an owner's configuration, so that Nix sees it. */
export async function write(home: Home, host: string, name: string, text: string): Promise<void> {
  await home.on(
    host,
    `cd /etc/nixos && mkdir -p "$(dirname ${name})" && cat >${name} && { [ ! -e .git ] || git add --intent-to-add ${name}; }`,
    text,
  );
}

/**
 * An owner deploys the configuration of a host.
 * @param module what it has beside what it had at first, in the place of what was deployed before
 */
export async function deploy(home: Home, host: string, module: string): Promise<void> {
  const file = `/etc/nixos/hosts/${host}.nix`;
  await home.on(
    host,
    `[ -e /root/at-first.nix ] || cp ${file} /root/at-first.nix
     { echo '{ imports = [ (' && cat && echo ') ];' && sed 1d /root/at-first.nix; } >${file}
     nixos-rebuild switch`,
    module,
  );
}
