import { join } from "node:path";
import { expect, test } from "vitest";
import { nixAlone } from "../../dev/lab/nix-alone.ts";
import { checkout } from "../../dev/tools/checkout.ts";

/** What the flake needs of the checkout, and no more: a copy of the rest would take a while. */
const flake = Object.fromEntries(
  ["flake.nix", "shell.nix", "nixos"].map((name) => [`/flake/${name}`, join(checkout, name)]),
);

test("is a sound flake, which locks and fetches nothing", async () => {
  const locks = await nixAlone(
    "nix flake check --offline path:/flake >&2 && nix flake metadata --offline --json path:/flake",
    flake,
  );
  expect(JSON.parse(locks).locks.nodes).toEqual({ root: {} });
});

const mine = `{
  inputs.nixpkgs.url = "path:/etc/nixpkgs";
  inputs.nixos-cache.url = "path:/flake";
  outputs = { nixpkgs, nixos-cache, ... }: {
    nixosConfigurations.kalaw = nixpkgs.lib.nixosSystem {
      system = "x86_64-linux";
      modules = [
        nixos-cache.nixosModules.default
        { networking.hostName = "kalaw"; services.nixos-cache.server.enable = true; }
      ];
    };
  };
}`;

test("its module is for a flake of the owner's, evaluated without a network", async () => {
  const said = await nixAlone(
    `mkdir /mine && cat >/mine/flake.nix <<'END'\n${mine}\nEND
     cd /mine
     nix eval --offline --raw .#nixosConfigurations.kalaw.config.system.build.toplevel.drvPath
     echo
     nix eval --offline --json .#nixosConfigurations.kalaw.config.services.nixos-cache.server.enable
     nix flake metadata --offline --json`,
    flake,
  );
  const [system, enabled, metadata = ""] = said.split("\n");
  expect(system).toMatch(/^\/nix\/store\/[a-z0-9]{32}-nixos-system-kalaw.*\.drv$/);
  expect(enabled).toBe("true");
  expect(Object.keys(JSON.parse(metadata).locks.nodes).sort()).toEqual([
    "nixos-cache",
    "nixpkgs",
    "root",
  ]);
});

// Every name that shell.nix takes from nixpkgs: of a package its name there, as text.
const nixpkgs = `{ }: {
  mkShell = arguments: derivation { name = "shell"; system = "x86_64-linux"; builder = "/bin/sh"; }
    // { inherit arguments; };
  pulumiPackages.pulumi-nodejs = "pulumi-nodejs";
  debian-archive-keyring = "/keyring";
} // builtins.listToAttrs (map (name: { inherit name; value = name; }) [
  "nodejs_24" "pulumi" "go" "mmdebstrap" "systemd" "iproute2" "openssh" "git" "util-linux"
])`;

test("its shell is of the user's own nixpkgs", async () => {
  const said = await nixAlone(
    `mkdir /nixpkgs && cat >/nixpkgs/default.nix <<'END'\n${nixpkgs}\nEND
     export NIX_PATH=nixpkgs=/nixpkgs
     system=$(nix eval --impure --raw --expr builtins.currentSystem)
     nix eval --offline --impure --json path:/flake#devShells.$system.default.arguments
     nix eval --offline --json path:/flake#devShells`,
    flake,
  );
  const [shell = "", pure] = said.split("\n");
  expect(JSON.parse(shell)).toEqual({
    packages: [
      ...["nodejs_24", "pulumi", "pulumi-nodejs", "go"],
      ...["mmdebstrap", "systemd", "iproute2", "openssh", "git", "util-linux"],
    ],
    NIXOS_CACHE_DEBIAN_KEYRING: "/keyring/share/keyrings/debian-archive-keyring.gpg",
  });
  expect(pure).toBe("{}");
});
