# The NixOS module for whoever deploys from a flake of their own. Without inputs: nothing is locked or fetched for it.
{
  description = "A private NixOS binary cache over SSH";

  outputs =
    { self }:
    {
      nixosModules = {
        nixos-cache = ./nixos/module.nix;
        default = self.nixosModules.nixos-cache;
      };

      # Of the user's own nixpkgs, which a pure evaluation does not see, and then `builtins` has no currentSystem either.
      devShells =
        if builtins ? currentSystem then
          { ${builtins.currentSystem}.default = import ./shell.nix { }; }
        else
          { };
    };
}
