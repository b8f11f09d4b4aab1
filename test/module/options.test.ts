import { join } from "node:path";
import { expect, test } from "vitest";
import { nixAlone } from "../../dev/lab/nix-alone.ts";
import { optionsPage } from "../../dev/options-page/options-page.ts";
import { checkout } from "../../dev/tools/checkout.ts";

// `npm test -- test/module/options -u` writes it anew.
test("docs/reference/options.md says what the module declares", async () => {
  const options = await nixAlone(
    "nix-instantiate --eval --strict --json /options.nix --arg lib 'import /etc/nixpkgs/lib' --arg module /nixos/module.nix",
    {
      "/nixos": join(checkout, "nixos"),
      "/options.nix": join(checkout, "dev/options-page/options.nix"),
    },
  );
  await expect(optionsPage(JSON.parse(options))).toMatchFileSnapshot(
    join(checkout, "docs/reference/options.md"),
  );
});
