# What `npm start` needs on a computer with Nix and without apt. As root: `nix-shell`, or `nix develop --impure`.
{
  pkgs ? import <nixpkgs> { },
}:
pkgs.mkShell {
  packages = [
    pkgs.nodejs_24
    # Where this Pulumi is older than Pulumi.yaml asks for, the official one is downloaded, or built with Go.
    pkgs.pulumi
    pkgs.pulumiPackages.pulumi-nodejs
    pkgs.go
    # The lab (dev/lab/requirements.ts). mmdebstrap brings the apt that it runs.
    pkgs.mmdebstrap
    pkgs.systemd
    pkgs.iproute2
    pkgs.openssh
    pkgs.git
    pkgs.util-linux
  ];
  NIXOS_CACHE_DEBIAN_KEYRING = "${pkgs.debian-archive-keyring}/share/keyrings/debian-archive-keyring.gpg";
}
