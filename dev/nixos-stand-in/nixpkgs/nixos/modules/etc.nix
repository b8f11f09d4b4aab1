# Stand-in for NixOS' environment.etc.
{ config, lib, pkgs, ... }:
let
  inherit (lib) mkOption types;
  opt = type: default: mkOption { inherit type default; };
  entries = lib.filter (entry: entry.enable) (lib.attrValues config.environment.etc);
in
{
  options.environment.etc = mkOption {
    default = { };
    type = types.attrsOf (
      types.submodule (
        { name, config, ... }:
        {
          options = {
            enable = opt types.bool true;
            target = opt types.str name;
            text = opt (types.nullOr types.lines) null;
            source = mkOption { type = types.path; };
            # "symlink", or the mode of a copy
            mode = opt types.str "symlink";
          };
          config.source = lib.mkIf (config.text != null) (
            lib.mkDefault (pkgs.writeText ("etc-" + lib.replaceStrings [ "/" "@" ] [ "-" "-" ] name) config.text)
          );
        }
      )
    );
  };

  config.system.build.etc = pkgs.runCommandLocal "etc" { } ''
    entry() {
      mkdir -p "$(dirname "$out/etc/$2")"
      if [ -L "$out/etc/$2" ]; then
        echo "duplicate entry $2 -> $1" >&2
        exit 1
      fi
      ln -s "$1" "$out/etc/$2"
      [ "$3" = symlink ] || echo "$3" > "$out/etc/$2.mode"
    }
    mkdir -p "$out/etc"
    ${lib.concatMapStringsSep "\n" (
      entry:
      lib.escapeShellArgs [
        "entry"
        "${entry.source}"
        entry.target
        entry.mode
      ]
    ) entries}
  '';
}
