/**
 * The Debian suites that a host can be made from. They are of two ages: `trixie` has OpenSSH 10.0 and Nix 2.26, `sid`
 * has what is newest.
 */
export const suites = ["trixie", "sid"] as const;
export type Suite = (typeof suites)[number];

/**
 * What a host is made from that does not say: `$NIXOS_CACHE_SUITE`, else trixie.
 * @throws when the variable names something else
 */
export function defaultSuite(env: NodeJS.ProcessEnv = process.env): Suite {
  const named = env.NIXOS_CACHE_SUITE || "trixie";
  const suite = suites.find((name) => name === named);
  if (suite !== undefined) return suite;
  throw new Error(
    `NIXOS_CACHE_SUITE: no hosts are made from ${JSON.stringify(named)}, but from ${suites.join(" and ")}`,
  );
}
