# What `pulumi up` writes to /etc/nixos/nixos-cache, beside the files with this machine's settings:
#
#   server.json    the options of services.nixos-cache.server
#   client.json    the options of services.nixos-cache.client
#   host           the name of the machine that they are for
#
# Edit the stack's settings instead. Without these files the module does nothing, so the line that imports it may stay.
{ config, lib, ... }:

let
  readIfThere = name: if builtins.pathExists (./. + "/${name}") then builtins.readFile (./. + "/${name}") else null;
  has = role: readIfThere "${role}.json" != null;
  settingsOf = role: if has role then builtins.fromJSON (readIfThere "${role}.json") else { };

  # A folder that was copied or committed is harmless on another machine.
  host = lib.removeSuffix "\n" (toString (readIfThere "host"));
  ours = config.networking.hostName == host;
in
{
  imports = [ ./module.nix ];

  config = lib.mkMerge [
    (lib.mkIf (has "server" && ours) {
      services.nixos-cache.server = {
        enable = true;
      }
      // settingsOf "server";
    })
    (lib.mkIf (has "client" && ours) { services.nixos-cache.client = settingsOf "client"; })
    (lib.mkIf ((has "server" || has "client") && ours) {
      # What `pulumi up` compares with its own.
      environment.etc = lib.genAttrs [
        "nixos-cache/default.nix"
        "nixos-cache/module.nix"
        "nixos-cache/warm.nix"
        "nixos-cache/ssh-ng-filter.py"
      ] (file: { text = builtins.readFile (./. + "/${lib.removePrefix "nixos-cache/" file}"); });
    })
    (lib.mkIf ((has "server" || has "client") && !ours) {
      warnings = [
        "nixos-cache: the settings in this folder are for the machine ${host}, so they do nothing here: take the folder out of git, and run `pulumi up`."
      ];
    })
  ];
}
