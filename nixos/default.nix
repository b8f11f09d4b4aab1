# The NixOS half of pulumi-nixos-cache. `pulumi up` writes this folder; edit the stack's settings instead.
#
#   server.json        this machine serves its store to the keys in authorized/
#   client.json        this machine fetches from the servers named in it
#
# Without them the module does nothing, so the line that imports it may stay.
{
  lib,
  pkgs,
  ...
}:

let
  readJson = file: builtins.fromJSON (builtins.readFile file);
  readJsonIfThere = file: if builtins.pathExists file then readJson file else null;

  server = readJsonIfThere ./server.json;
  client = readJsonIfThere ./client.json;

  authorizedFiles =
    if builtins.pathExists ./authorized then
      lib.filter (lib.hasSuffix ".pub") (lib.attrNames (builtins.readDir ./authorized))
    else
      [ ];
  authorized = map (name: lib.removeSuffix "\n" (builtins.readFile (./authorized + "/${name}"))) authorizedFiles;

  # What `sha256sum` prints for the same files, hashed once more: the agent compares it with the files on the
  # disk, to see in a built system, before it switches, whether this module took part with these settings.
  fingerprint = builtins.hashString "sha256" (
    lib.concatMapStrings (name: "${builtins.hashFile "sha256" (./. + "/${name}")}  ${name}\n") (
      map (name: "authorized/${name}") authorizedFiles
      ++ lib.optional (client != null) "client.json"
      ++ [ "default.nix" ]
      ++ lib.optional (server != null) "server.json"
    )
  );

  private = "/var/lib/nixos-cache";

  # Runs in the place of ssh's own connect (ssh_config(5), ProxyCommand with ProxyUseFdpass). Nix dials once
  # for every store path, so an unreachable cache is remembered for half a minute instead of tried each time; that
  # way takes the shell's own means only, for it is gone hundreds of times.
  guard = pkgs.writeShellScript "nixos-cache-guard" ''
    stamp="/run/nixos-cache/$1-$2.unreachable"
    printf -v now '%(%s)T' -1
    since=
    if [ -e "$stamp" ]; then read -r since <"$stamp"; fi
    if [[ $since =~ ^[0-9]+$ ]] && (( now >= since && now - since < 30 )); then
      echo "nixos-cache: $1 was unreachable $((now - since)) s ago, not trying again yet" >&2
      exit 1
    fi
    if ${pkgs.netcat-openbsd}/bin/nc -F -w 2 "$1" "$2"; then
      ${pkgs.coreutils}/bin/rm -f "$stamp"
    else
      ${pkgs.coreutils}/bin/mkdir -p /run/nixos-cache
      printf '%(%s)T\n' -1 >"$stamp"
      echo "nixos-cache: $1 port $2 is unreachable" >&2
      exit 1
    fi
  '';

  substituter =
    { address, priority, ... }:
    "ssh://nix-ssh@${address}" + lib.optionalString (priority != null) "?priority=${toString priority}";

  matchBlock = { address, port, ... }: ''
    Match host ${address} user nix-ssh localuser root
      Port ${toString port}
      IdentityFile ${private}/ssh/identity
      IdentitiesOnly yes
      BatchMode yes
      StrictHostKeyChecking yes
      UserKnownHostsFile /dev/null
      ConnectTimeout 5
      ServerAliveInterval 5
      ServerAliveCountMax 3
      ProxyCommand ${guard} %h %p
      ProxyUseFdpass yes
    Match all
  '';
in
{
  config = lib.mkMerge [
    (lib.mkIf (server != null || client != null) {
      environment.etc."nixos-cache/fingerprint".text = "${fingerprint}\n";
    })

    (lib.mkIf (server != null) {
      nix.sshServe = {
        enable = true;
        protocol = "ssh";
        write = false;
        keys = authorized;
      };
      # A missing file refuses every key of nix-ssh, and nobody else's (sshd_config(5), RevokedKeys).
      # ExposeAuthInfo is how the agent tells whose session it has to end when it revokes a key.
      services.openssh.extraConfig = ''
        Match User nix-ssh
          RevokedKeys ${private}/revoked_keys
          DisableForwarding yes
          ExposeAuthInfo yes
        Match All
      '';
      # The agent fills all four places: the newest key, then older ones whose rotation has not ended.
      nix.settings.secret-key-files = map (place: "${private}/signing/${place}") [
        "0"
        "1"
        "2"
        "3"
      ];
    })

    (lib.mkIf (client != null) {
      nix.settings = {
        substituters = map substituter (lib.attrValues client.servers);
        trusted-public-keys = lib.concatMap (entry: entry.trustedPublicKeys) (
          lib.attrValues client.servers
        );
        # An unreachable cache must never fail a build (nix.conf(5), fallback).
        fallback = lib.mkDefault true;
      };
      programs.ssh.knownHosts = lib.mapAttrs' (
        name:
        {
          address,
          port,
          hostKey,
          ...
        }:
        lib.nameValuePair "nixos-cache-${name}" {
          hostNames = [ (if port == 22 then address else "[${address}]:${toString port}") ];
          publicKey = hostKey;
        }
      ) client.servers;
      # Before the owner's own: ssh takes the first value of each keyword.
      programs.ssh.extraConfig = lib.mkBefore (
        lib.concatMapStrings matchBlock (lib.attrValues client.servers)
      );
    })
  ];
}
