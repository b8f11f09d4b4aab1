# Stand-in for NixOS' programs.ssh.
{ config, lib, ... }:
let
  inherit (lib) mkOption types;
  opt = type: default: mkOption { inherit type default; };
  cfg = config.programs.ssh;
  hosts = lib.attrValues cfg.knownHosts;
in
{
  options.programs.ssh = {
    extraConfig = opt types.lines "";
    knownHosts = mkOption {
      default = { };
      type = types.attrsOf (
        types.submodule (
          { name, config, ... }:
          {
            options = {
              certAuthority = opt types.bool false;
              hostNames = opt (types.listOf types.str) ([ name ] ++ config.extraHostNames);
              extraHostNames = opt (types.listOf types.str) [ ];
              publicKey = opt (types.nullOr types.str) null;
              publicKeyFile = opt (types.nullOr types.path) null;
            };
          }
        )
      );
    };
  };

  config = {
    assertions = lib.mapAttrsToList (name: host: {
      assertion = (host.publicKey == null) != (host.publicKeyFile == null);
      message = "knownHost ${name} must contain either a publicKey or publicKeyFile";
    }) cfg.knownHosts;

    environment.etc."ssh/ssh_config".text = ''
      # Custom options from `extraConfig`, to override generated options
      ${cfg.extraConfig}

      # Generated options from other settings
      Host *
      GlobalKnownHostsFile /etc/ssh/ssh_known_hosts
      ForwardX11 no
    '';
    environment.etc."ssh/ssh_known_hosts".text = lib.concatMapStrings (
      host:
      lib.optionalString host.certAuthority "@cert-authority "
      + lib.concatStringsSep "," host.hostNames
      + " ${if host.publicKey != null then host.publicKey else lib.readFile host.publicKeyFile}\n"
    ) hosts;
  };
}
