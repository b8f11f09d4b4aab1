# Stand-in for nixpkgs' nixos/lib/eval-config.nix: evaluates a machine's modules together with ours.
{
  system,
  modules,
  specialArgs ? { },
}:
let
  lib = import ../lib;
  pkgs = import ../. { system = eval.config.nixpkgs.hostPlatform; };
  evaluate =
    given:
    lib.evalModules {
      modules = import ./modules/all.nix ++ [
        {
          _file = ./eval-config.nix;
          config = lib.mkIf (system != null) { nixpkgs.hostPlatform = lib.mkDefault system; };
        }
      ] ++ given;
      specialArgs = {
        inherit pkgs;
        modulesPath = toString ./modules;
        extendModules = { modules }: evaluate (given ++ modules);
      } // specialArgs;
    };
  eval = evaluate modules;
in
{
  inherit pkgs lib;
  inherit (eval) config options;
}
