# Stand-in for NixOS' users and groups. Debian's own accounts are not declared and stay as they are.
{ config, lib, pkgs, ... }:
let
  inherit (lib) mkOption types;
  opt = type: default: mkOption { inherit type default; };
  users = lib.filterAttrs (name: _: name != "root") config.users.users;
  keysOf =
    user: with user.openssh.authorizedKeys; keys ++ map (file: lib.trim (lib.readFile file)) keyFiles;
  withKeys = lib.filterAttrs (_: user: keysOf user != [ ]) config.users.users;
in
{
  options.users = {
    users = mkOption {
      default = { };
      type = types.attrsOf (
        types.submodule (
          { name, config, ... }:
          {
            options = {
              name = opt types.str name;
              description = opt types.str "";
              uid = opt (types.nullOr types.int) null;
              isSystemUser = opt types.bool false;
              isNormalUser = opt types.bool false;
              group = opt types.str "";
              extraGroups = opt (types.listOf types.str) [ ];
              home = opt types.path "/var/empty";
              createHome = opt types.bool false;
              shell = opt (types.either types.package types.path) "/usr/sbin/nologin";
              useDefaultShell = opt types.bool false;
              openssh.authorizedKeys.keys = opt (types.listOf types.singleLineStr) [ ];
              openssh.authorizedKeys.keyFiles = opt (types.listOf types.path) [ ];
            };
            config = lib.mkMerge [
              (lib.mkIf config.isNormalUser {
                group = lib.mkDefault "users";
                home = lib.mkDefault "/home/${config.name}";
                createHome = lib.mkDefault true;
                useDefaultShell = lib.mkDefault true;
              })
              # Debian's bash, under the path that /etc/shells and Debian's tools know
              (lib.mkIf config.useDefaultShell { shell = lib.mkDefault "/bin/bash"; })
            ];
          }
        )
      );
    };
    groups = mkOption {
      default = { };
      type = types.attrsOf (
        types.submodule {
          options.gid = opt (types.nullOr types.int) null;
        }
      );
    };
  };

  config = {
    users.groups.wheel = { };
    users.users.root = {
      uid = 0;
      isSystemUser = true;
      group = "root";
      home = "/root";
    };

    # What `activate` reads: one declaration a line, with `:` between fields.
    system.build.users = pkgs.writeText "users" (
      lib.concatLines (
        lib.mapAttrsToList (name: group: "group:${name}:${toString group.gid}") config.users.groups
        ++ lib.mapAttrsToList (
          _: user:
          lib.concatStringsSep ":" [
            "user"
            user.name
            (toString user.uid)
            user.group
            user.home
            (if lib.isDerivation user.shell then "/run/current-system/sw${user.shell.shellPath}" else user.shell)
            (if user.isSystemUser then "system" else "normal")
            (if user.createHome then "home" else "")
            (lib.concatStringsSep "," user.extraGroups)
            user.description
          ]
        ) users
      )
    );

    environment.etc = lib.mapAttrs' (
      name: user:
      lib.nameValuePair "ssh/authorized_keys.d/${name}" {
        mode = "0444";
        text = lib.concatLines (keysOf user);
      }
    ) withKeys;

    assertions = lib.concatLists (
      lib.mapAttrsToList (name: user: [
        {
          assertion = user.isSystemUser != user.isNormalUser;
          message = "Exactly one of users.users.${name}.isSystemUser and users.users.${name}.isNormalUser must be set.";
        }
        {
          assertion = user.group != "";
          message = "users.users.${name}.group is unset. This used to default to nogroup, but this is unsafe. For example you can create a group for this user with:\nusers.users.${name}.group = \"${name}\";\nusers.groups.${name} = {};";
        }
      ]) users
    );
  };
}
