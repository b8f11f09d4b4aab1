# Stand-in for NixOS' services.openssh.
{ config, lib, pkgs, ... }:
let
  inherit (lib) mkOption types;
  opt = type: default: mkOption { inherit type default; };
  cfg = config.services.openssh;

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
    ${lib.concatMapStringsSep "\n" (key: "HostKey ${key.path}") cfg.hostKeys}
    ${cfg.extraConfig}
  '';

  makeHostKeys = pkgs.writeShellScript "make-host-keys" (
    lib.concatLines (
      map (key: ''
        [ -s ${key.path} ] || { mkdir -p "$(dirname ${key.path})" && ssh-keygen -q -t ${key.type} -N "" -f ${key.path}; }
      '') cfg.hostKeys
    )
  );

  service = {
    description = "SSH Daemon";
    after = [ "network.target" ];
    path = [ pkgs.coreutils pkgs.openssh ];
    stopIfChanged = false;
    # Here a switch takes a second, so that a few of them would be a restart loop to systemd.
    unitConfig.StartLimitIntervalSec = 0;
    restartTriggers = [ config.environment.etc."ssh/sshd_config".source ];
    serviceConfig = {
      KillMode = "process";
      RuntimeDirectory = "sshd";
      ExecStartPre = makeHostKeys;
    };
  };
  # Debian's path, since sshd must be started by its absolute path
  sshd = "/usr/sbin/sshd";
in
{
  options.services.openssh = {
    enable = lib.mkEnableOption "the OpenSSH secure shell daemon";
    # Accepted and without effect: the lab's hosts have no firewall.
    openFirewall = opt types.bool true;
    ports = opt (types.listOf types.port) [ 22 ];
    # A socket listens, and each connection has an sshd of its own.
    startWhenNeeded = opt types.bool false;
    hostKeys = opt (types.listOf types.attrs) [
      {
        type = "ed25519";
        path = "/etc/ssh/ssh_host_ed25519_key";
      }
    ];
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

    systemd.services.sshd = lib.mkIf (!cfg.startWhenNeeded) (lib.mkMerge [
      service
      {
        wantedBy = [ "multi-user.target" ];
        serviceConfig = {
          Type = "notify";
          Restart = "always";
          ExecStart = "${sshd} -D -f /etc/ssh/sshd_config";
        };
      }
    ]);

    systemd.services."sshd@" = lib.mkIf cfg.startWhenNeeded (lib.mkMerge [
      service
      {
        serviceConfig = {
          ExecStart = "-${sshd} -i -D -f /etc/ssh/sshd_config";
          # The other connections need it too.
          RuntimeDirectoryPreserve = true;
          StandardInput = "socket";
          StandardError = "journal";
        };
      }
    ]);
    systemd.sockets.sshd = lib.mkIf cfg.startWhenNeeded {
      description = "SSH Socket";
      wantedBy = [ "sockets.target" ];
      socketConfig = {
        ListenStream = map toString cfg.ports;
        Accept = true;
        # A test may connect more often in a second than a person.
        TriggerLimitIntervalSec = 0;
      };
    };
  };
}
