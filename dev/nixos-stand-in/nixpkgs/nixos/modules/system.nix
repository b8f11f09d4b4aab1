# Stand-in for NixOS' top level: assertions, warnings, packages, and the system that switch-to-configuration runs.
{ config, lib, pkgs, extendModules, ... }:
let
  inherit (lib) mkOption types;
  opt = type: default: mkOption { inherit type default; };
  cfg = config.system;
  failed = map (x: x.message) (lib.filter (x: !x.assertion) config.assertions);

  path = pkgs.buildEnv {
    name = "system-path";
    paths = config.environment.systemPackages;
  };
  program =
    name:
    pkgs.writeTextFile {
      inherit name;
      text = lib.readFile (../. + "/${name}.sh");
      executable = true;
      destination = "/bin/${name}";
    };
  # A failing command does not end the activation, but counts.
  activationScripts = pkgs.writeText "activation-scripts" ''
    _status=0
    trap "_status=1" ERR
    ${lib.concatStringsSep "\n" (lib.attrValues cfg.activationScripts)}
    exit $_status
  '';

  # Each must end well, or nothing is switched; $1 is the system, $2 the action.
  preSwitchChecks = pkgs.writeText "pre-switch-checks" ''
    set -e
    ${lib.concatStringsSep "\n" (lib.attrValues cfg.preSwitchChecks)}
  '';

  # Variants of the system, each with a configuration of its own on top.
  specialisations = lib.mapAttrs (
    _: { configuration, ... }:
    (extendModules {
      modules = [ configuration { specialisation = lib.mkForce { }; } ];
    }).config.system.build.toplevel
  ) config.specialisation;

  toplevel =
    pkgs.runCommandLocal "nixos-system-${config.networking.hostName}-${cfg.nixos.version}"
      {
        inherit (cfg.nixos) version;
        hostPlatform = pkgs.system;
        inherit (cfg) checks;
      }
      ''
        mkdir "$out" "$out/bin" "$out/specialisation"
        ${lib.concatLines (lib.mapAttrsToList (name: system: "ln -s ${system} $out/specialisation/${name}") specialisations)}
        ln -s ${cfg.build.etc}/etc "$out/etc"
        ln -s ${path} "$out/sw"
        ln -s ${program "activate"}/bin/activate "$out/activate"
        ln -s ${activationScripts} "$out/activation-scripts"
        ln -s ${preSwitchChecks} "$out/pre-switch-checks"
        ln -s ${cfg.build.users} "$out/users"
        # NixOS writes the path of the system into this program; here it is found beside the program.
        cp ${program "switch-to-configuration"}/bin/switch-to-configuration "$out/bin/"
        printf %s "$version" > "$out/nixos-version"
        # Two systems with different ones cannot be switched between: it takes a restart.
        printf %s "systemd ${toString config.systemd.package.interfaceVersion}" > "$out/init-interface-version"
        printf %s "$hostPlatform" > "$out/system"
      '';
in
{
  options = {
    assertions = opt (types.listOf types.unspecified) [ ];
    warnings = opt (types.listOf types.str) [ ];
    specialisation = opt (types.lazyAttrsOf types.unspecified) { };
    boot.isContainer = opt types.bool false;
    nixpkgs.hostPlatform = mkOption { type = types.str; };
    environment.systemPackages = opt (types.listOf types.package) [ ];
    system = {
      stateVersion = opt types.str cfg.nixos.version;
      nixos.version = opt types.str "25.11.stand-in";
      # Each a shell text, or { text, deps }; run in the order of their names, whatever the deps say.
      activationScripts = opt (types.attrsOf (types.coercedTo types.attrs (x: x.text) types.str)) { };
      preSwitchChecks = opt (types.attrsOf types.str) { };
      checks = opt (types.listOf types.package) [ ];
      build = opt (types.lazyAttrsOf types.unspecified) { };
    };
  };

  config = {
    environment.systemPackages = with pkgs; [
      config.nix.package
      bash
      coreutils
      openssh
      (program "nixos-rebuild")
    ];
    system.build.toplevel =
      if failed != [ ] then
        throw "\nFailed assertions:\n${lib.concatMapStringsSep "\n" (x: "- ${x}") failed}"
      else
        lib.foldr lib.warn toplevel config.warnings;
  };
}
