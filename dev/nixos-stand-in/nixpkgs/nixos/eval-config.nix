# Stand-in for nixpkgs' nixos/lib/eval-config.nix: evaluates a machine's modules together with ours.
{
  system,
  modules,
  specialArgs ? { },
}:
let
  lib = import ../lib;
  pkgs = import ../. { system = eval.config.nixpkgs.hostPlatform; };
  eval = lib.evalModules {
    modules = import ./modules/all.nix ++ [
      {
        _file = ./eval-config.nix;
        config = lib.mkIf (system != null) { nixpkgs.hostPlatform = lib.mkDefault system; };
      }
    ] ++ modules;
    specialArgs = {
      inherit pkgs;
      modulesPath = toString ./modules;
    } // specialArgs;
  };
in
{
  inherit pkgs lib;
  inherit (eval) config options;
}
