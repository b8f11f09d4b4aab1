import { existsSync } from "node:fs";
import { join, resolve } from "node:path";

/** What of NixOS a host can use in the place of our stand-in. */
const programs = ["switch-to-configuration", "nixos-rebuild"];

/**
 * The folder with NixOS's real programs, built, that the hosts shall use: `$NIXOS_CACHE_REAL_TOOLS`; undefined, the
 * stand-ins.
 * @throws when there is none of them in it
 */
export function realTools(env: NodeJS.ProcessEnv = process.env): string | undefined {
  if (!env.NIXOS_CACHE_REAL_TOOLS) return undefined;
  const folder = resolve(env.NIXOS_CACHE_REAL_TOOLS);
  if (programs.some((program) => existsSync(join(folder, program)))) return folder;
  throw new Error(
    `NIXOS_CACHE_REAL_TOOLS: there is no ${programs.join(" and no ")} in ${folder}. ` +
      "Name the folder that holds them, or leave the variable out.",
  );
}
