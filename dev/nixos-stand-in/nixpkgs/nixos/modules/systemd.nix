# Stand-in for NixOS' systemd.services, systemd.sockets, systemd.paths, systemd.timers and systemd.tmpfiles.rules.
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
      // service.unitConfig
    )
    + "\n[Service]\n"
    + lines (
      lib.optionalAttrs service.reloadIfChanged { X-ReloadIfChanged = true; }
      // lib.optionalAttrs (!service.restartIfChanged) { X-RestartIfChanged = false; }
      // lib.optionalAttrs (!service.stopIfChanged) { X-StopIfChanged = false; }
    )
    + lib.concatLines (lib.mapAttrsToList (n: v: "Environment=\"${n}=${v}\"") service.environment)
    + lines (
      lib.optionalAttrs (service.script != "") {
        ExecStart = "${pkgs.writeShellScriptBin "${name}-start" "set -e\n\n${service.script}"}/bin/${name}-start";
      }
      // service.serviceConfig
    );

  # What starts a service: a path, a socket or a timer.
  triggerText =
    kind: unit:
    "[Unit]\n"
    + lines ({ Description = unit.description; } // unit.unitConfig)
    + "\n[${kind}]\n"
    + lines unit."${lib.toLower kind}Config";
  triggers =
    kind: units:
    lib.mapAttrsToList (
      name: unit:
      let
        file = "${name}.${lib.toLower kind}";
      in
      { "systemd/system/${file}".text = triggerText kind unit; } // wants file unit.wantedBy
    ) units;
  trigger =
    config:
    mkOption {
      default = { };
      type = types.attrsOf (
        types.submodule {
          options = {
            description = opt types.str "";
            wantedBy = names;
            unitConfig = section;
            ${config} = section;
          };
        }
      );
    };
  # A unit of systemd's own, or of a package, among those of the system: as NixOS has all of them.
  upstream = unit: { "systemd/system/${unit}".source = "/usr/lib/systemd/system/${unit}"; };
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
              reloadIfChanged = opt types.bool false;
              restartIfChanged = opt types.bool true;
              # A change stops it before the activation and starts it after; else it is restarted after.
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
    package = opt types.package pkgs.systemd;
    paths = trigger "pathConfig";
    sockets = trigger "socketConfig";
    timers = trigger "timerConfig";
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
      // lib.optionalAttrs (service.overrideStrategy == "asDropin") (upstream "${name}.service")
      // wants "${name}.service" service.wantedBy
    ) units
    ++ triggers "Path" config.systemd.paths
    ++ triggers "Socket" config.systemd.sockets
    ++ triggers "Timer" config.systemd.timers
    # The targets that a switch restarts, so that they start what is new.
    ++ map upstream [
      "multi-user.target"
      "sockets.target"
      "timers.target"
    ]
    ++ [
      {
        # For units that the boot starts before sysinit.target; the stand-in has none.
        "systemd/system/sysinit-reactivation.target".text = "[Unit]\nDescription=Reactivate sysinit units\n";
        # What a switch has each user's manager run.
        "systemd/user/nixos-activation.service".text = "[Service]\nType=oneshot\nExecStart=/bin/true\n";
        "tmpfiles.d/00-nixos.conf".text = lib.concatLines config.systemd.tmpfiles.rules;
      }
    ]
  );
}
