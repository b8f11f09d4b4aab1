{
  description = "The machines of a home, as their owner keeps them: part of the lab";

  inputs.nixpkgs.url = "path:/etc/nixpkgs";

  outputs =
    { nixpkgs, ... }:
    let
      inherit (nixpkgs) lib;
      names = map (lib.removeSuffix ".nix") (lib.attrNames (lib.readDir ./hosts));
    in
    {
      nixosConfigurations = lib.genAttrs names (
        name:
        lib.nixosSystem {
          modules = [
            ./base.nix
            ./network.nix
            (./hosts + "/${name}.nix")
          ];
        }
      );
    };
}
