# Stand-in for NixOS' programs.fish and programs.zsh: as login shells they have their environment from PAM.
{ config, lib, pkgs, ... }:
let
  shells = [
    "fish"
    "zsh"
  ];
in
{
  options.programs = lib.genAttrs shells (shell: {
    enable = lib.mkEnableOption shell;
  });

  config = {
    environment.systemPackages = map (shell: pkgs.${shell}) (
      lib.filter (shell: config.programs.${shell}.enable) shells
    );

    assertions = lib.concatMap (
      user:
      map (shell: {
        assertion = user.shell == pkgs.${shell} -> config.programs.${shell}.enable;
        message = "users.users.${user.name}.shell is set to ${shell}, but\nprograms.${shell}.enable is not true.";
      }) shells
    ) (lib.attrValues config.users.users);
  };
}
