import { homedir } from "node:os";
import { join, resolve } from "node:path";

/**
 * Where built and downloaded tools are kept, outside every checkout: `$NIXOS_CACHE_TOOLS`, else
 * `pulumi-nixos-cache` in the user's cache folder. Absolute; need not exist.
 */
export function cacheFolder(env: NodeJS.ProcessEnv = process.env): string {
  if (env.NIXOS_CACHE_TOOLS) return resolve(env.NIXOS_CACHE_TOOLS);
  return resolve(env.XDG_CACHE_HOME || join(homedir(), ".cache"), "pulumi-nixos-cache");
}
