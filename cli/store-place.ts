/**
 * Where a store over SSH is, of its URL: without the protocol, of which there are two, and without what follows a `?`, which are Nix's
 * own parameters.
 * @returns `nix-ssh@HOST`, with an IPv6 address in brackets; undefined, it is no store over SSH
 */
export function storePlace(url: string): string | undefined {
  return /^ssh(?:-ng)?:\/\/([^?]*)/.exec(url)?.[1];
}

/** The place of a cache's store. @param address as clients reach it */
export function cachePlace(address: string): string {
  return `nix-ssh@${address.includes(":") ? `[${address}]` : address}`;
}
