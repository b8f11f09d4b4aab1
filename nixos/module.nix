# services.nixos-cache: a machine serves its Nix store over SSH to authorized keys, or fetches from one that does.
#
# Only settings stand here. Keys are data in /var/lib/nixos-cache: `pulumi up` brings them and takes them away, and
# nothing here changes with them. While that folder is missing, the machine builds and boots as if it had no cache.
{
  config,
  lib,
  pkgs,
  ...
}:

let
  inherit (lib) mkOption types;
  cfg = config.services.nixos-cache;
  serves = cfg.server.enable;
  fetches = cfg.client.servers != { };
  servers = lib.attrValues cfg.client.servers;
  data = "/var/lib/nixos-cache";

  # A public text that every machine with this module has, at the same store path: what a check of the service asks
  # the other machine for.
  probe = builtins.toFile "nixos-cache-probe" "This path shows that one machine can read the Nix store of another.\n";

  # What `pulumi up` compares with the settings that it wants: JSON without spaces, keys sorted.
  settings = {
    server = {
      inherit (cfg.server) onlyOurKeys;
    }
    // lib.optionalAttrs (cfg.server.warm != null) {
      warm = {
        inherit (cfg.server.warm)
          flake
          systems
          startAt
          user
          keep
          maxSize
          ;
      };
    };
    client.servers = lib.mapAttrs (_: server: {
      inherit (server)
        address
        port
        hostKey
        priority
        protocol
        ;
    }) cfg.client.servers;
  };
  settingsFile = role: { text = "${builtins.toJSON settings.${role}}\n"; };

  # Runs in the place of ssh's own connect (ssh_config(5), ProxyCommand with ProxyUseFdpass). Nix dials once for every
  # store path, and whoever answers at the cache's address may do so slowly, wrongly or not at all. So there is a login of
  # the guard's own first, for three seconds; when it fails, that is remembered for half a minute, in which this takes
  # the shell's own means only, for it is gone through hundreds of times. Status 255 is ssh's own failure, 124 and more
  # that of `timeout`; any other is that of nix-store, which has nothing to do or, in a coming Nix, is no server any more.
  guard = pkgs.writeShellScript "nixos-cache-guard" ''
    host=$1 port=$2 alias=$3
    stamp="/run/nixos-cache/$host-$port.unreachable"
    printf -v now '%(%s)T' -1
    since=
    if [ -e "$stamp" ]; then read -r since <"$stamp"; fi
    if [[ $since =~ ^[0-9]+$ ]] && (( now >= since && now - since < 30 )); then
      echo "nixos-cache: $host was unreachable $((now - since)) s ago, not trying again yet" >&2
      exit 1
    fi
    status=0
    said=
    log_in() { # SECONDS
      said=$(${pkgs.coreutils}/bin/timeout --kill-after=1 "$1" ${pkgs.openssh}/bin/ssh -F none -T -p "$port" \
        -o IdentityFile=${data}/secret/identity -o IdentitiesOnly=yes -o BatchMode=yes -o StrictHostKeyChecking=yes \
        -o HostKeyAlias="$alias" -o GlobalKnownHostsFile=${knownHosts} -o UserKnownHostsFile=/dev/null \
        -o LogLevel=ERROR nix-ssh@"$host" nix-store --serve 2>&1 >/dev/null </dev/null)
      status=$?
    }
    # Without a key of ours yet, the owner's own may do.
    if [ -e ${data}/secret/identity ]; then log_in 3; fi
    # An sshd that is just restarting.
    if (( status == 255 && SECONDS < 2 )) && [[ $said =~ (refused|reset|closed) ]]; then
      ${pkgs.coreutils}/bin/sleep 1
      log_in 2
    fi
    if (( status < 124 )) && ${pkgs.netcat-openbsd}/bin/nc -F -w 2 "$host" "$port"; then
      if [ -e "$stamp" ]; then ${pkgs.coreutils}/bin/rm -f "$stamp"; fi
    else
      ${pkgs.coreutils}/bin/mkdir -p /run/nixos-cache
      printf '%(%s)T\n' -1 >"$stamp"
      why="no login within 3 s"
      if (( status == 255 )); then why=''${said##*$'\n'}; fi
      if (( status < 124 )); then why="no connection within 2 s"; fi
      echo "nixos-cache: $host port $port is unreachable: $why" >&2
      exit 1
    fi
  '';

  # Over `ssh` Nix dials again for every path before 2.34; over `ssh-ng` it hangs on many paths in some versions before
  # 2.32. A server with this module serves both, whatever its Nix. Lix has numbers of its own.
  nix = config.nix.package;
  ownProtocol =
    if lib.versionAtLeast nix.version "2.34" && (nix.pname or "nix") != "lix" then "ssh-ng" else "ssh";
  # Of an IPv6 address Nix gives ssh what is in the brackets, which is what the blocks below begin with.
  substituter =
    {
      address,
      priority,
      protocol,
      ...
    }:
    "${if protocol == null then ownProtocol else protocol}://nix-ssh@${if lib.hasInfix ":" address then "[${address}]" else address}"
    + lib.optionalString (priority != null) "?priority=${toString priority}";

  alias = { address, ... }: "${address}.nixos-cache";
  knownHosts = pkgs.writeText "nixos-cache-known-hosts" (
    lib.concatMapStrings (server: "${alias server} ${server.hostKey}\n") servers
  );

  # By the name in the URL (originalhost), for a HostName in root's own ~/.ssh/config comes before this file. The
  # alias keeps every other known host out.
  matchLine = { address, ... }: "Match originalhost ${address} user nix-ssh localuser root";
  matchBlock = server: ''
    ${matchLine server}
      Port ${toString server.port}
      IdentityFile ${data}/secret/identity
      IdentitiesOnly yes
      BatchMode yes
      StrictHostKeyChecking yes
      HostKeyAlias ${alias server}
      GlobalKnownHostsFile ${knownHosts}
      UserKnownHostsFile /dev/null
      ConnectTimeout 5
      ServerAliveInterval 5
      ServerAliveCountMax 3
      ProxyCommand ${guard} %h %p ${alias server}
      ProxyUseFdpass yes
    Match all
  '';

  # What each of a client's protocols asks for (Nix, legacy-ssh-store.cc and ssh-store.cc), by the program's name alone:
  # nothing else of the client's words counts, and none of them is run. Python is the one of nixos-rebuild-ng, so on
  # most machines nothing comes with it; without what its environment or a site would add.
  serve = pkgs.writeShellScript "nixos-cache-serve" ''
    program=''${SSH_ORIGINAL_COMMAND%% *}
    case ''${program##*/} in
      nix-daemon) exec ${pkgs.python3}/bin/python3 -I -S -B ${./ssh-ng-filter.py} ;;
      *) exec ${config.nix.package.out}/bin/nix-store --serve ;;
    esac
  '';

  sshdBlock = ''
    Match User nix-ssh
      AllowUsers nix-ssh
      AllowGroups nix-ssh
      AuthenticationMethods publickey
      AuthorizedKeysFile ${toString authorizedKeysFiles}
      ${lib.optionalString cfg.server.onlyOurKeys "AuthorizedKeysCommand none\n  TrustedUserCAKeys none"}
      DisableForwarding yes
      PermitTTY no
      PermitUserRC no
      ExposeAuthInfo yes
      ForceCommand ${pkgs.util-linux}/bin/prlimit --as=2147483648 ${serve}
    Match All
  '';
  # The second is there only while `pulumi up` checks that the service works.
  authorizedKeysFiles = [
    "${data}/authorized_keys"
    "/run/nixos-cache/check_key"
  ]
  ++ lib.optionals (!cfg.server.onlyOurKeys) config.services.openssh.authorizedKeysFiles;

  denied = lib.toList (config.services.openssh.settings.DenyUsers or [ ]);
  deniedGroups = lib.toList (config.services.openssh.settings.DenyGroups or [ ]);
  addresses = map ({ address, ... }: lib.toLower address) servers;

  # Somebody's lib.mkForce would drop them without a word.
  stands = option: text: line: {
    assertion = lib.elem line (lib.splitString "\n" text);
    message = "services.nixos-cache has no effect where lib.mkForce drops its lines from ${option}: take that mkForce out.";
  };
in
{
  imports = [ ./warm.nix ];

  options.services.nixos-cache = {
    server = {
      enable = lib.mkEnableOption "serving this machine's Nix store over SSH to the keys in ${data}/authorized_keys";

      onlyOurKeys = mkOption {
        type = types.bool;
        default = false;
        description = ''
          Whether user nix-ssh is let in by the keys in {file}`${data}/authorized_keys` alone. Otherwise the keys of
          {option}`nix.sshServe.keys`, {option}`services.openssh.authorizedKeysFiles` and the like count too.
        '';
      };
    };

    client.servers = mkOption {
      default = { };
      description = "The machines that this one fetches store paths from, by name.";
      type = types.attrsOf (
        types.submodule (
          { name, ... }:
          {
            options = {
              address = mkOption {
                type = types.strMatching "[A-Za-z0-9_][A-Za-z0-9_.-]*|[0-9a-f:]*:[0-9a-f:]*";
                default = name;
                description = ''
                  Host name or IP address of the server, as this machine resolves it; each server has its own. An IPv6 address
                  stands without brackets, and as short as can be (RFC 5952).
                '';
              };
              port = mkOption {
                type = types.port;
                default = 22;
                description = "Port of the server's sshd.";
              };
              hostKey = mkOption {
                type = types.strMatching "(ssh-ed25519|ecdsa-sha2-nistp(256|384|521)) [A-Za-z0-9+/]+=*";
                description = ''
                  The server's SSH host key, `type base64`: the first two words of
                  {file}`/etc/ssh/ssh_host_ed25519_key.pub` there. No other key is accepted.
                '';
              };
              priority = mkOption {
                type = types.nullOr (types.ints.between 0 2147483647);
                default = null;
                description = ''
                  Of several caches the one with the lower number is asked first; cache.nixos.org has 40. `null` leaves
                  it to Nix, which asks an SSH store before the public caches.
                '';
              };
              protocol = mkOption {
                type = types.nullOr (
                  types.enum [
                    "ssh"
                    "ssh-ng"
                  ]
                );
                default = null;
                description = ''
                  The protocol to fetch by. A server with this module serves both. `null` is `ssh-ng` where this machine
                  has Nix 2.34 or newer, else `ssh`, with Lix too.
                '';
              };
            };
          }
        )
      );
    };
  };

  config = lib.mkMerge [
    (lib.mkIf (serves || fetches) {
      environment.etc."nixos-cache/probe".source = probe;
      # At the end, for an owner's own nix.extraOptions beats nix.settings. A missing file is no error (nix.conf(5)).
      nix.extraOptions = lib.mkAfter "!include ${data}/nix.conf\n";
      assertions = [
        (stands "nix.extraOptions" config.nix.extraOptions "!include ${data}/nix.conf")
        {
          assertion = config.nix.enable;
          message = "services.nixos-cache needs NixOS's own Nix daemon: nix.enable is false on this machine.";
        }
        {
          assertion = (config.nix.daemonUser or "root") == "root";
          message = "services.nixos-cache needs a Nix daemon that runs as root, for its keys are root's: nix.daemonUser is another user.";
        }
      ];
    })

    (lib.mkIf serves {
      environment.etc."nixos-cache/server.json" = settingsFile "server";
      nix.sshServe.enable = true;
      # A daemon that was started with a signing key fails every build once that file is gone: where all of it is lost,
      # it starts again without.
      systemd.paths.nixos-cache-lost = {
        description = "Sees whether the keys of pulumi-nixos-cache are lost";
        wantedBy = [ "multi-user.target" ];
        pathConfig.PathChanged = "${data}/nix.conf";
      };
      systemd.services.nixos-cache-lost = {
        description = "Starts the Nix daemon again without keys that are lost";
        unitConfig = {
          ConditionPathExists = "!${data}/nix.conf";
          StartLimitIntervalSec = 0;
        };
        serviceConfig.Type = "oneshot";
        script = "systemctl try-restart nix-daemon.service";
      };
      # A client that lies can make a session take memory, and open as many as it likes: one ends by its own limit
      # (ForceCommand), and all together have no more than this: a hundred sessions, of four or five processes and threads
      # each. nix-ssh gets its number when it is made.
      systemd.services.nixos-cache-limits = {
        description = "Limits what the clients of pulumi-nixos-cache take together";
        wantedBy = [ "multi-user.target" ];
        serviceConfig = {
          Type = "oneshot";
          RemainAfterExit = true;
        };
        script = ''
          systemctl set-property --runtime "user-$(id -u nix-ssh).slice" MemoryMax=2G TasksMax=512
        '';
      };
      nix.extraOptions = lib.mkAfter "extra-allowed-users = nix-ssh\n";
      # Before sshServe's own block: sshd takes the first value of each keyword (sshd_config(5)).
      services.openssh.extraConfig = lib.mkBefore sshdBlock;
      assertions = [
        (stands "services.openssh.extraConfig" config.services.openssh.extraConfig "Match User nix-ssh")
        {
          assertion = !config.nix.sshServe.write;
          message = "services.nixos-cache only lets clients read: take out nix.sshServe.write, or services.nixos-cache.server.";
        }
        {
          assertion = !(lib.elem "nix-ssh" denied || lib.elem "nix-ssh" deniedGroups);
          message = "services.nixos-cache serves as user nix-ssh: take nix-ssh out of services.openssh.settings.DenyUsers and DenyGroups.";
        }
      ];
    })

    (lib.mkIf fetches {
      environment.etc."nixos-cache/client.json" = settingsFile "client";
      nix.extraOptions = lib.mkAfter "extra-substituters = ${lib.concatMapStringsSep " " substituter servers}\n";
      # An unreachable cache must never fail a build (nix.conf(5), fallback).
      nix.settings.fallback = lib.mkDefault true;
      # Before the owner's own: ssh takes the first value of each keyword (ssh_config(5)).
      programs.ssh.extraConfig = lib.mkBefore (lib.concatMapStrings matchBlock servers);
      assertions =
        map (
          server: stands "programs.ssh.extraConfig" config.programs.ssh.extraConfig (matchLine server)
        ) servers
        ++ [
        {
          assertion = lib.length (lib.unique addresses) == lib.length addresses;
          message = "services.nixos-cache.client.servers: ssh tells servers apart by their address, so each needs its own.";
        }
      ];
    })
  ];
}
