# Stand-in for nixpkgs' flake: the parts of its interface that a small NixOS configuration uses.
{
  description = "The lab's stand-in for nixpkgs and NixOS";

  outputs =
    { self }:
    let
      lib = import ./lib;
    in
    {
      lib = lib // {
        nixosSystem = args: import ./nixos/eval-config.nix ({ system = null; } // args);
      };
      legacyPackages = lib.genAttrs [ "x86_64-linux" "aarch64-linux" ] (
        system: import ./. { inherit system; }
      );
    };
}
