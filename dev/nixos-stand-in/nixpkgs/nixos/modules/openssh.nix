# Stand-in for NixOS' services.openssh.
{ config, lib, pkgs, ... }:
let
  inherit (lib) mkOption types;
  opt = type: default: mkOption { inherit type default; };
  cfg = config.services.openssh;
  hostKey = "/etc/ssh/ssh_host_ed25519_key";

  value =
    x:
    if lib.isBool x then
      (if x then "yes" else "no")
    else if lib.isList x then
      lib.concatStringsSep "," x
    else
      toString x;
  spaced = [ "AllowUsers" "DenyUsers" "AllowGroups" "DenyGroups" "AcceptEnv" ];
  line = name: x: "${name} ${if lib.elem name spaced then toString x else value x}";

  configFile = pkgs.writeText "sshd_config" ''
    ${lib.concatLines (lib.mapAttrsToList line (lib.filterAttrs (_: x: x != null) cfg.settings))}
    ${lib.concatMapStringsSep "\n" (port: "Port ${toString port}") cfg.ports}
    Subsystem sftp /usr/lib/openssh/sftp-server
    AuthorizedKeysFile ${toString cfg.authorizedKeysFiles}
    HostKey ${hostKey}
    ${cfg.extraConfig}
  '';
in
{
  options.services.openssh = {
    enable = lib.mkEnableOption "the OpenSSH secure shell daemon";
    # Accepted and without effect: the lab's hosts have no firewall.
    openFirewall = opt types.bool true;
    ports = opt (types.listOf types.port) [ 22 ];
    authorizedKeysFiles = opt (types.listOf types.str) [ ];
    extraConfig = opt types.lines "";
    settings = mkOption {
      default = { };
      type = types.submodule {
        freeformType = types.attrsOf (
          types.nullOr (types.oneOf [ types.bool types.int types.str (types.listOf types.str) ])
        );
        options = {
          LogLevel = opt types.str "INFO";
          UsePAM = opt types.bool true;
          UseDns = opt types.bool false;
          X11Forwarding = opt types.bool false;
          PasswordAuthentication = opt types.bool true;
          KbdInteractiveAuthentication = opt types.bool true;
          PermitRootLogin = opt (types.enum [ "yes" "without-password" "prohibit-password" "forced-commands-only" "no" ]) "prohibit-password";
          GatewayPorts = opt types.str "no";
          StrictModes = opt types.bool true;
          PrintMotd = opt types.bool false;
        };
      };
    };
  };

  config = lib.mkIf cfg.enable {
    services.openssh.authorizedKeysFiles = [ "%h/.ssh/authorized_keys" "/etc/ssh/authorized_keys.d/%u" ];

    environment.etc."ssh/sshd_config".source = configFile;
    system.checks = [
      (pkgs.runCommandLocal "check-sshd-config" { } ''
        sshd -G -f ${configFile} > "$out"
      '')
    ];

    systemd.services.sshd = {
      description = "SSH Daemon";
      wantedBy = [ "multi-user.target" ];
      after = [ "network.target" ];
      path = [ pkgs.openssh ];
      stopIfChanged = false;
      # Here a switch takes a second, so that a few of them would be a restart loop to systemd.
      unitConfig.StartLimitIntervalSec = 0;
      restartTriggers = [ config.environment.etc."ssh/sshd_config".source ];
      serviceConfig = {
        Type = "notify";
        Restart = "always";
        KillMode = "process";
        RuntimeDirectory = "sshd";
        ExecStartPre = "/bin/sh -c 'test -s ${hostKey} || exec ssh-keygen -q -t ed25519 -N \"\" -f ${hostKey}'";
        # Debian's path, since sshd must be started by its absolute path
        ExecStart = "/usr/sbin/sshd -D -f /etc/ssh/sshd_config";
      };
    };
  };
}
