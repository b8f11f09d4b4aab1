# Stand-in for nixpkgs' package set. The packages are links to Debian's programs, each in a store path of its own;
# the builders are real derivations that the host's Nix builds in its sandbox, in which nix.conf mounts Debian's /usr.
{ system, lib }:
let
  inherit (lib) concatMapStringsSep concatStringsSep escapeShellArg getBin optionalString;

  # Every builder has `$out` and Debian's programs; `script` is POSIX sh.
  build =
    name: env: script:
    let
      meta = env.meta or { };
      drv = derivation (
        removeAttrs env [ "meta" "passthru" ]
        // {
          inherit name system;
          builder = "/bin/sh";
          args = [ "-euc" "PATH=\${buildPath:+$buildPath:}/usr/bin:/usr/sbin; export PATH\n${script}" ];
        }
      );
    in
    drv // env.passthru or { } // { inherit meta; };

  # Written by install.sh. The one of Nix, which others compare, is without what Debian's packagers add to it.
  versions = lib.mapAttrs (_: version: lib.head (lib.splitString "+" version)) (import ./versions.nix);

  # Names of programs, or name=path for one whose Debian name differs.
  debian =
    pname: package: mainProgram: programs:
    let
      version = versions.${package};
    in
    build "${pname}-${version}" {
      inherit version;
      meta = { inherit mainProgram; };
      passthru = { inherit pname; };
    } ''
      mkdir -p "$out/bin"
      ${concatMapStringsSep "\n" (
        program:
        let
          parts = lib.splitString "=" program;
        in
        ''ln -s ${if lib.length parts == 1 then "/usr/bin/${program}" else lib.last parts} "$out/bin/${lib.head parts}"''
      ) programs}
    '';

  writeTextFile =
    {
      name,
      text,
      executable ? false,
      destination ? "",
      checkPhase ? "",
      meta ? { },
    }:
    build name
      {
        inherit text meta checkPhase;
        passAsFile = [ "text" ];
        preferLocalBuild = true;
        allowSubstitutes = false;
      }
      ''
        target=$out${escapeShellArg destination}
        mkdir -p "$(dirname "$target")"
        cp "$textPath" "$target"
        ${optionalString executable ''chmod +x "$target"''}
        eval "$checkPhase"
      '';

  pkgs = rec {
    inherit lib system writeTextFile;
    inherit (lib) getExe;
    runtimeShell = "${bash}/bin/bash";
    stdenv.hostPlatform = { inherit system; };

    writeText = name: text: writeTextFile { inherit name text; };
    writeScript = name: text: writeTextFile { inherit name text; executable = true; };
    writeShellScript = name: text: writeScript name "#!${runtimeShell}\n${text}\n";
    writeScriptBin =
      name: text:
      writeTextFile {
        inherit name text;
        executable = true;
        destination = "/bin/${name}";
        meta.mainProgram = name;
      };
    writeShellScriptBin = name: text: writeScriptBin name "#!${runtimeShell}\n${text}\n";
    # Without shellcheck, which nixpkgs runs here.
    writeShellApplication =
      {
        name,
        text,
        runtimeInputs ? [ ],
      }:
      writeShellScriptBin name ''
        set -o errexit
        set -o nounset
        set -o pipefail
        ${optionalString (runtimeInputs != [ ]) ''export PATH="${lib.makeBinPath runtimeInputs}:$PATH"''}

        ${text}'';

    runCommand =
      name: env: script:
      build name (
        removeAttrs env [ "nativeBuildInputs" "buildInputs" ]
        // {
          buildPath = lib.makeBinPath (env.nativeBuildInputs or [ ] ++ env.buildInputs or [ ]);
        }
      ) script;
    runCommandLocal = name: env: runCommand name ({ preferLocalBuild = true; allowSubstitutes = false; } // env);

    linkFarm =
      name: entries:
      runCommandLocal name { } ''
        mkdir -p "$out"
        ${concatStringsSep "\n" (
          lib.mapAttrsToList (target: path: ''
            mkdir -p "$(dirname "$out"/${escapeShellArg target})"
            ln -s ${path} "$out"/${escapeShellArg target}'') (
            if lib.isList entries then lib.listToAttrs (map (e: lib.nameValuePair e.name e.path) entries) else entries
          )
        )}
      '';
    # The first package that has a file wins.
    symlinkJoin =
      { name, paths, ... }:
      runCommandLocal name { paths = map getBin (lib.unique paths); } ''
        mkdir "$out"
        for path in $paths; do
          cd "$path"
          find . -type d -exec mkdir -p "$out/{}" \;
          find . ! -type d | while read -r file; do
            [ -L "$out/$file" ] || ln -s "$path/$file" "$out/$file"
          done
        done
      '';
    buildEnv = symlinkJoin;

    bash = debian "bash" "bash" "bash" [ "bash" "sh=/usr/bin/bash" ] // { shellPath = "/bin/bash"; };
    bashInteractive = bash;
    coreutils = debian "coreutils" "coreutils" "coreutils" (lib.splitString " " (
      "[ basename cat chgrp chmod chown cksum comm cp csplit cut date dd df dir dirname du echo env expand expr"
      + " factor false fmt fold groups head hostid id install join link ln logname ls md5sum mkdir mkfifo mknod"
      + " mktemp mv nice nl nohup nproc numfmt od paste pathchk pr printenv printf ptx pwd readlink realpath rm"
      + " rmdir seq sha1sum sha224sum sha256sum sha384sum sha512sum shred shuf sleep sort split stat stdbuf stty"
      + " sum sync tac tail tee test timeout touch tr true truncate tsort tty uname unexpand uniq unlink users wc"
      + " who whoami yes"
    ));
    findutils = debian "findutils" "findutils" "find" [ "find" "xargs" ];
    fish = debian "fish" "fish" "fish" [ "fish" ] // { shellPath = "/bin/fish"; };
    git = debian "git" "git" "git" [ "git" ];
    gnugrep = debian "gnugrep" "grep" "grep" [ "grep" "egrep" "fgrep" ];
    gnused = debian "gnused" "sed" "sed" [ "sed" ];
    iproute2 = debian "iproute2" "iproute2" "ip" [ "ip=/usr/sbin/ip" "ss" ];
    netcat-openbsd = debian "netcat-openbsd" "netcat-openbsd" "nc" [ "nc=/usr/bin/nc.openbsd" ];
    libressl.nc = netcat-openbsd;
    nix = debian "nix" "nix-bin" "nix" [
      "nix" "nix-build" "nix-channel" "nix-collect-garbage" "nix-copy-closure" "nix-daemon" "nix-env" "nix-hash"
      "nix-instantiate" "nix-prefetch-url" "nix-shell" "nix-store"
    ];
    openssh = debian "openssh" "openssh-server" "ssh" [
      "scp" "sftp" "sftp-server=/usr/lib/openssh/sftp-server" "ssh" "ssh-add" "ssh-agent" "ssh-keygen" "ssh-keyscan"
      "sshd=/usr/sbin/sshd"
    ];
    procps = debian "procps" "procps" "ps" [ "free" "pgrep" "pidof" "pkill" "ps" "sysctl=/usr/sbin/sysctl" "top" "uptime" "watch" ];
    python3 = debian "python3" "python3" "python3" [ "python3" ];
    # As on NixOS, where nothing in the store is setuid: the sudo that works is /run/wrappers/bin/sudo.
    sudo = writeShellScriptBin "sudo" ''
      echo "sudo: $0 must be owned by uid 0 and have the setuid bit set" >&2
      exit 1
    '';
    systemd = debian "systemd" "systemd" "systemctl" [
      "journalctl" "loginctl" "systemctl" "systemd-analyze" "systemd-run" "systemd-tmpfiles"
    ] // { interfaceVersion = 2; };
    util-linux = debian "util-linux" "util-linux" "util-linux" [
      "flock" "findmnt" "logger" "lsblk" "mount" "mountpoint" "nsenter" "prlimit" "rev" "script" "setpriv" "setsid"
      "umount" "unshare" "whereis"
    ];
    zsh = debian "zsh" "zsh" "zsh" [ "zsh" ] // { shellPath = "/bin/zsh"; };
  };
in
pkgs
