# Stand-in for NixOS' nix.settings and its Nix daemon.
{ config, lib, pkgs, ... }:
let
  inherit (lib) mkOption types;
  opt = type: default: mkOption { inherit type default; };
  cfg = config.nix;
  atom = types.nullOr (types.oneOf [ types.bool types.int types.float types.str types.path types.package ]);
  list = opt (types.listOf types.str) [ ];

  value = x: if lib.isBool x then lib.boolToString x else toString x;
  line = name: x: "${name} = ${value x}";
  extra = lib.hasPrefix "extra-";
in
{
  options.nix = {
    enable = opt types.bool true;
    package = opt types.package pkgs.nix;
    extraOptions = opt types.lines "";
    settings = mkOption {
      default = { };
      type = types.submodule {
        freeformType = types.attrsOf (types.either atom (types.listOf atom));
        # The settings that are always written; an empty list of substituters keeps Nix from its own default.
        options = {
          substituters = list;
          trusted-public-keys = list;
          trusted-users = list;
          require-sigs = opt types.bool true;
          sandbox = opt (types.either types.bool (types.enum [ "relaxed" ])) true;
        };
      };
    };
  };

  config = lib.mkIf cfg.enable {
    nix.settings = {
      trusted-public-keys = [ "cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY=" ];
      trusted-users = [ "root" ];
      allowed-users = lib.mkDefault [ "*" ];
      # NixOS adds `substituters = mkAfter [ "https://cache.nixos.org/" ]` here. The lab has no way to the internet,
      # so its hosts never ask it.

      # Only here: Debian's programs, which every package of the stand-in links to and every builder runs.
      sandbox-paths = [ "/bin" "/lib" "/lib64?" "/usr" ];
    };

    environment.etc."nix/nix.conf".source = pkgs.writeTextFile {
      name = "nix.conf";
      text = ''
        # WARNING: this file is generated from the nix.* options in
        # your NixOS configuration. Do not edit it!
        ${lib.concatLines (lib.mapAttrsToList line (lib.filterAttrs (n: _: !extra n) cfg.settings))}
        ${lib.concatLines (lib.mapAttrsToList line (lib.filterAttrs (n: _: extra n) cfg.settings))}
        ${cfg.extraOptions}
      '';
      # NixOS refuses a configuration that Nix warns about, an unknown setting for one.
      checkPhase = ''
        mkdir conf
        cp "$out" conf/nix.conf
        HOME=$PWD NIX_CONF_DIR=$PWD/conf NIX_STATE_DIR=$PWD/state \
          nix --no-net --extra-experimental-features nix-command config show > shown 2>&1 || :
        sed -n 's/^warning:/error:/; /^error:/p' shown >&2
        ! grep -q -e '^warning:' -e '^error:' shown
      '';
    };

    systemd.services.nix-daemon = {
      overrideStrategy = "asDropin";
      # Nothing else: what the daemon's ssh runs needs its absolute path.
      path = [ cfg.package pkgs.util-linux pkgs.openssh ];
      restartTriggers = [ config.environment.etc."nix/nix.conf".source ];
      stopIfChanged = false;
      # Here a switch takes a second, so that a few of them would be a restart loop to systemd.
      unitConfig.StartLimitIntervalSec = 0;
    };
  };
}
