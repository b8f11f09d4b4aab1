# What all machines of this home have in common.
{ lib, pkgs, ... }:
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

  environment.systemPackages = [ pkgs.procps ];
}
