import { join } from "node:path";
import type { Outcome } from "../../dev/lab/outcome.ts";
import { checkout } from "../../dev/tools/checkout.ts";
import type { Home } from "../system/home.ts";

/** Runs `nixos-cache ARGS…` on a home's stack, as `npm run nixos-cache` does. */
export function nixosCache(
  home: Home,
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<Outcome> {
  const main = join(checkout, "cli", "main.ts");
  return home.stack.command([process.execPath, main, ...args], { env });
}
