# services.nixos-cache.server.warm: on a timer, the server builds or fetches its clients' systems ahead of time, and keeps
# them from its garbage collection. What is kept is what this machine has built itself: no client has a say in it.
{
  config,
  lib,
  pkgs,
  ...
}:

let
  inherit (lib) mkOption types;
  cfg = config.services.nixos-cache.server;
  inherit (cfg) warm;
  name = "nixos-cache-warm";
  own = warm.user == null;

  # One link a system and run, TIME.SYSTEM, the time in nanoseconds. Nix takes each for a root of its garbage collection
  # (nix3-build(1), --out-link).
  build = ''
    cd "$STATE_DIRECTORY"
    flake=${lib.escapeShellArg warm.flake}
    systems=(${lib.escapeShellArgs warm.systems})
    links_of() { # SYSTEM: oldest first
      for link in *; do
        if [ "''${link#*.}" = "$1" ]; then echo "$link"; fi
      done | sort -n
    }

    failed=()
    for system in "''${systems[@]}"; do
      new=$(date +%s%N).$system
      # Where it fails, what was there stays.
      if ! nix --extra-experimental-features 'nix-command flakes' build --refresh --no-write-lock-file \
        --out-link "$STATE_DIRECTORY/$new" "$flake#nixosConfigurations.\"$system\".config.system.build.toplevel"; then
        failed+=("$system")
        continue
      fi
      links_of "$system" | while read -r link; do
        if [ "$link" != "$new" ] && [ "$link" -ef "$new" ]; then rm "$link"; fi
      done
      links_of "$system" | head -n -${toString warm.keep} | xargs --no-run-if-empty rm
    done

    for link in *.*; do
      if [[ " ''${systems[*]} " != *" ''${link#*.} "* ]]; then rm -f "$link"; fi
    done
    ${lib.optionalString (warm.maxSize != null) cap}
    if [ ''${#failed[@]} -gt 0 ]; then
      echo "$flake: could not build ''${failed[*]}" >&2
      exit 1
    fi
  '';

  cap = ''
    size() { # of all that is kept, in bytes, each store path once
      local total=0 bytes
      for bytes in $(nix-store --query --requisites ./*.* | sort -u | xargs nix-store --query --size); do
        total=$((total + bytes))
      done
      echo "$total"
    }
    most=$(numfmt --from=iec ${warm.maxSize})
    while oldest=$(printf '%s\n' *.* | sort -n | head -n 1) && [ -L "$oldest" ] && [ "$(size)" -gt "$most" ]; do
      echo "more than ${warm.maxSize} is kept: letting go of ''${oldest#*.} of $(date --date="@''${oldest:0:10}" '+%F %R')" >&2
      rm "$oldest"
    done
  '';

  # Who has no rights may read somebody else's repository: what it builds is what that person says in any case.
  gitSettings = pkgs.writeTextFile {
    name = "${name}-git";
    destination = "/git/config";
    text = "[safe]\n  directory = *\n";
  };
in
{
  options.services.nixos-cache.server.warm = mkOption {
    default = null;
    description = ''
      Systems that this machine builds or fetches ahead of time, so that its clients find them here. `null`: none.
    '';
    type = types.nullOr (
      types.submodule {
        options = {
          flake = mkOption {
            type = types.strMatching "(/|[a-z][a-z0-9+.-]*:)[A-Za-z0-9/._~:?&=@%+,-]*";
            example = "github:me/machines";
            description = ''
              The flake that has the systems in `nixosConfigurations`: a URL, or an absolute path on this machine.
            '';
          };
          systems = mkOption {
            type = types.nonEmptyListOf (types.strMatching "[A-Za-z0-9_][A-Za-z0-9_.-]*");
            example = [ "pai" ];
            description = "Their names in `nixosConfigurations`.";
          };
          startAt = mkOption {
            type = types.strMatching "[A-Za-z0-9*:/.,~ -]+";
            default = "daily";
            description = "When, in the words of {manpage}`systemd.time(7)`.";
          };
          user = mkOption {
            type = types.nullOr (types.strMatching "[A-Za-z_][A-Za-z0-9_.-]{0,30}");
            default = null;
            description = ''
              Who evaluates the flake, with their own credentials for it. `null`: a user of systemd's without any rights,
              for a flake that everybody can read.
            '';
          };
          keep = mkOption {
            type = types.ints.between 1 1000;
            default = 3;
            description = "How many different builds of each system are kept from garbage collection, the newest ones.";
          };
          maxSize = mkOption {
            type = types.nullOr (types.strMatching "[1-9][0-9]{0,11}[KMGT]?");
            default = null;
            example = "50G";
            description = ''
              How much is kept in all: bytes, or with K, M, G or T in units of 1024. Above it the oldest builds are let go
              of, the newest ones last. `null`: no limit.
            '';
          };
        };
      }
    );
  };

  config = lib.mkMerge [
    (lib.mkIf (cfg.enable && warm != null) {
      assertions = [
        {
          assertion = own || warm.user != "root" && config.users.users ? ${warm.user};
          message = "services.nixos-cache.server.warm.user: ${toString warm.user} is no user of this machine, or root: write the name of one who may read the flake.";
        }
      ];
      nix.extraOptions = lib.mkIf own (lib.mkAfter "extra-allowed-users = ${name}\n");
      systemd.timers.${name} = {
        description = "When to build the systems of this machine's clients";
        wantedBy = [ "timers.target" ];
        timerConfig = {
          OnCalendar = warm.startAt;
          Persistent = true;
        };
      };
      systemd.services.${name} = {
        description = "Builds the systems of this machine's clients ahead of time";
        wants = [ "network-online.target" ];
        after = [ "network-online.target" ];
        # A switch does not wait for a build, nor end it.
        restartIfChanged = false;
        path = [
          config.nix.package
          pkgs.coreutils
          pkgs.findutils
          pkgs.git
          pkgs.openssh
        ];
        environment = {
          XDG_CACHE_HOME = "/var/cache/${name}";
        }
        // lib.optionalAttrs own {
          HOME = "/var/cache/${name}";
          XDG_CONFIG_HOME = "${gitSettings}";
        };
        script = build;
        serviceConfig = {
          Type = "oneshot";
          DynamicUser = own;
          User = if own then name else warm.user;
          StateDirectory = name;
          StateDirectoryMode = "0700";
          CacheDirectory = name;
          CacheDirectoryMode = "0700";
          # The daemon builds; this only evaluates and waits.
          CapabilityBoundingSet = "";
          LockPersonality = true;
          NoNewPrivileges = true;
          PrivateDevices = true;
          PrivateTmp = true;
          ProtectControlGroups = true;
          ProtectHome = "read-only";
          ProtectKernelLogs = true;
          ProtectKernelModules = true;
          ProtectKernelTunables = true;
          ProtectSystem = "strict";
          RestrictAddressFamilies = [
            "AF_UNIX"
            "AF_INET"
            "AF_INET6"
          ];
          RestrictNamespaces = true;
          RestrictRealtime = true;
          RestrictSUIDSGID = true;
          SystemCallArchitectures = "native";
          UMask = "0077";
          CPUSchedulingPolicy = "batch";
          IOSchedulingClass = "idle";
        };
      };
    })
    # Turned off, it keeps nothing any more.
    (lib.mkIf (cfg.enable && warm == null) {
      systemd.tmpfiles.rules = map (folder: "R ${folder}/${name}") [
        "/var/lib"
        "/var/lib/private"
        "/var/cache"
        "/var/cache/private"
      ];
    })
  ];
}
