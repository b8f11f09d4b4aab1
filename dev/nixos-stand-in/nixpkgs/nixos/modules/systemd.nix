# Stand-in for NixOS' systemd.services, systemd.paths and systemd.tmpfiles.rules.
{ config, lib, pkgs, ... }:
let
  inherit (lib) mkOption types;
  opt = type: default: mkOption { inherit type default; };
  units = lib.filterAttrs (_: service: service.enable) config.systemd.services;
  names = opt (types.listOf types.str) [ ];
  section = opt (types.lazyAttrsOf types.unspecified) { };
  value = x: if lib.isBool x then lib.boolToString x else toString x;
  lines =
    set:
    lib.concatLines (
      lib.concatLists (lib.mapAttrsToList (n: v: map (x: "${n}=${value x}") (lib.toList v)) set)
    );
  given = lib.filterAttrs (_: v: v != "" && v != [ ] && v != null);
  joined = lib.mapAttrs (_: lib.concatStringsSep " ");

  unitText =
    name: service:
    "[Unit]\n"
    + lines (
      given (joined {
        Wants = service.wants;
        Requires = service.requires;
        Before = service.before;
        After = service.after;
        X-Restart-Triggers = map toString service.restartTriggers;
      } // { Description = service.description; })
      // lib.optionalAttrs (!service.restartIfChanged) { X-RestartIfChanged = false; }
      // service.unitConfig
    )
    + "\n[Service]\n"
    + lib.concatLines (lib.mapAttrsToList (n: v: "Environment=\"${n}=${v}\"") service.environment)
    + lines (
      lib.optionalAttrs (service.script != "") {
        ExecStart = "${pkgs.writeShellScriptBin "${name}-start" "set -e\n\n${service.script}"}/bin/${name}-start";
      }
      // service.serviceConfig
    );

  pathText =
    path:
    "[Unit]\n"
    + lines ({ Description = path.description; } // path.unitConfig)
    + "\n[Path]\n"
    + lines path.pathConfig;
  wants =
    unit: wantedBy:
    lib.genAttrs (map (target: "systemd/system/${target}.wants/${unit}") wantedBy) (_: {
      source = "/etc/systemd/system/${unit}";
    });
in
{
  options.systemd = {
    services = mkOption {
      default = { };
      type = types.attrsOf (
        types.submodule (
          { config, ... }:
          {
            options = {
              enable = opt types.bool true;
              # "asDropin" adds to a unit that Debian has
              overrideStrategy = mkOption {
                type = types.enum [
                  "asDropinIfExists"
                  "asDropin"
                ];
                default = "asDropinIfExists";
              };
              description = opt types.str "";
              script = opt types.lines "";
              path = opt (types.listOf types.package) [ ];
              environment = opt (types.attrsOf types.str) { };
              restartIfChanged = opt types.bool true;
              # NixOS would stop before activation and start after it; here a change is always a restart.
              stopIfChanged = opt types.bool true;
              restartTriggers = opt (types.listOf types.unspecified) [ ];
              wantedBy = names;
              wants = names;
              requires = names;
              before = names;
              after = names;
              unitConfig = section;
              serviceConfig = section;
            };
            config.environment.PATH = lib.mkIf (config.path != [ ]) (lib.makeBinPath config.path);
          }
        )
      );
    };
    paths = mkOption {
      default = { };
      type = types.attrsOf (
        types.submodule {
          options = {
            description = opt types.str "";
            wantedBy = names;
            unitConfig = section;
            pathConfig = section;
          };
        }
      );
    };
    tmpfiles.rules = opt (types.listOf types.str) [ ];
  };

  config.environment.etc = lib.mkMerge (
    lib.mapAttrsToList (
      name: service:
      {
        ${
          if service.overrideStrategy == "asDropin" then
            "systemd/system/${name}.service.d/overrides.conf"
          else
            "systemd/system/${name}.service"
        }.text =
          unitText name service;
      }
      // wants "${name}.service" service.wantedBy
    ) units
    ++ lib.mapAttrsToList (
      name: path:
      { "systemd/system/${name}.path".text = pathText path; } // wants "${name}.path" path.wantedBy
    ) config.systemd.paths
    ++ [
      {
        "tmpfiles.d/00-nixos.conf".text = lib.concatLines config.systemd.tmpfiles.rules;
      }
    ]
  );
}
