# What all machines of this home have in common.
{ lib, pkgs, ... }:
let
  # Who lives here logs in with a key, and is root with sudo.
  person = shell: {
    isNormalUser = true;
    extraGroups = [ "wheel" ];
    inherit shell;
    openssh.authorizedKeys.keyFiles = [ ./operator.pub ];
  };
in
{
  # `pulumi up` writes this folder. Without the condition the machines could not be built before it, or after
  # `pulumi destroy`.
  imports = lib.optional (builtins.pathExists ./nixos-cache) ./nixos-cache;

  services.openssh = {
    enable = true;
    settings.PasswordAuthentication = false;
  };

  nix.settings.experimental-features = [
    "nix-command"
    "flakes"
  ];

  users.users.fay = person pkgs.fish;
  users.users.zoe = person pkgs.zsh;
  programs.fish.enable = true;
  programs.zsh.enable = true;
  security.sudo.wheelNeedsPassword = false;

  # NixOS brings no git of its own, and needs it for a flake in a repository.
  environment.systemPackages = [
    pkgs.git
    pkgs.procps
  ];
}
