# Stand-in for NixOS' networking.hostName and networking.hosts; addresses and links are the lab's business.
{ config, lib, ... }:
let
  inherit (lib) mkOption types;
  opt = type: default: mkOption { inherit type default; };
  cfg = config.networking;
in
{
  options.networking = {
    hostName = opt (types.strMatching "^$|^[[:alnum:]]([[:alnum:]_-]{0,61}[[:alnum:]])?$") "nixos";
    hosts = opt (types.attrsOf (types.listOf types.str)) { };
  };

  config = {
    networking.hosts = {
      "127.0.0.1" = [ "localhost" ];
      "::1" = [ "localhost" ];
      "127.0.0.2" = lib.optional (cfg.hostName != "") cfg.hostName;
    };
    environment.etc.hostname = lib.mkIf (cfg.hostName != "") { text = cfg.hostName + "\n"; };
    environment.etc.hosts.text = lib.concatLines (
      lib.mapAttrsToList (address: names: "${address} ${toString names}") (
        lib.filterAttrs (_: names: names != [ ]) cfg.hosts
      )
    );
  };
}
