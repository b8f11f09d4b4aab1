# Stand-in for NixOS' nix.sshServe.
{ config, lib, pkgs, ... }:
let
  inherit (lib) mkEnableOption mkOption types;
  opt = type: default: mkOption { inherit type default; };
  cfg = config.nix.sshServe;
  # A program of its own, as in coming versions of NixOS, so that it can be told from what others would run.
  command = pkgs.writeShellScript "nix-ssh-serve" "exec ${config.nix.package.out}/bin/${serve}";
  serve =
    if cfg.protocol == "ssh" then
      "nix-store --serve ${lib.optionalString cfg.write "--write"}"
    else
      "nix-daemon --stdio";
in
{
  options.nix.sshServe = {
    enable = mkEnableOption "serving the Nix store as a remote store via SSH";
    write = mkEnableOption "writing to the Nix store as a remote store via SSH";
    trusted = mkEnableOption "adding nix-ssh to the nix.settings.trusted-users";
    keys = opt (types.listOf types.str) [ ];
    protocol = opt (types.enum [ "ssh" "ssh-ng" ]) "ssh";
  };

  config = lib.mkIf cfg.enable {
    users.users.nix-ssh = {
      description = "Nix SSH store user";
      isSystemUser = true;
      group = "nix-ssh";
      useDefaultShell = true;
      openssh.authorizedKeys.keys = cfg.keys;
    };
    users.groups.nix-ssh = { };
    nix.settings.trusted-users = lib.mkIf cfg.trusted [ "nix-ssh" ];
    services.openssh.enable = true;
    services.openssh.extraConfig = ''
      Match User nix-ssh
        AllowAgentForwarding no
        AllowTcpForwarding no
        PermitTTY no
        PermitTunnel no
        X11Forwarding no
        ForceCommand ${command}
      Match All
    '';
  };
}
