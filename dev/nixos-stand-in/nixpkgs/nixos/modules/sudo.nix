# Stand-in for NixOS' security.sudo. Its setuid wrapper is a link to Debian's sudo.
{ config, lib, pkgs, ... }:
let
  inherit (lib) mkOption types;
  opt = type: default: mkOption { inherit type default; };
  cfg = config.security.sudo;
in
{
  options.security.sudo = {
    enable = opt types.bool true;
    wheelNeedsPassword = opt types.bool true;
    extraConfig = opt types.lines "";
  };

  config = {
    environment.systemPackages = lib.mkIf cfg.enable [ pkgs.sudo ];
    environment.etc.sudoers = lib.mkIf cfg.enable {
      mode = "0440";
      source = pkgs.writeTextFile {
        name = "sudoers";
        text = ''
          root     ALL=(ALL:ALL)    SETENV: ALL
          %wheel  ALL=(ALL:ALL)    ${lib.optionalString (!cfg.wheelNeedsPassword) "NOPASSWD:"}SETENV: ALL
          ${cfg.extraConfig}
        '';
        checkPhase = ''visudo -c -f "$out"'';
      };
    };
    system.activationScripts.wrappers =
      if cfg.enable then
        ''
          mkdir -p /run/wrappers/bin
          ln -sfn /usr/bin/sudo /usr/bin/sudoedit /run/wrappers/bin/
        ''
      else
        "rm -f /run/wrappers/bin/sudo /run/wrappers/bin/sudoedit";
  };
}
