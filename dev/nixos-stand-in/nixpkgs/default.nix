# Stand-in for `import <nixpkgs> { }`.
{
  system ? builtins.currentSystem,
  ...
}:
import ./pkgs.nix {
  inherit system;
  lib = import ./lib;
}
