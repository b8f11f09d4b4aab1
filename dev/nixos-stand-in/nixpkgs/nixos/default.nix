# Stand-in for `import <nixpkgs/nixos> { }`, what a machine with channels is built from.
{
  configuration ?
    let
      # Above what -I says.
      named = builtins.getEnv "NIXOS_CONFIG";
    in
    if named != "" then named else <nixos-config>,
  system ? builtins.currentSystem,
}:
let
  eval = import ./eval-config.nix {
    inherit system;
    modules = [ configuration ];
  };
in
{
  inherit (eval) pkgs config options;
  system = eval.config.system.build.toplevel;
}
