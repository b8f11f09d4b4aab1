# What the lab's stand-in for NixOS knows: every other option is refused.
[
  ./system.nix
  ./etc.nix
  ./users.nix
  ./shells.nix
  ./sudo.nix
  ./systemd.nix
  ./networking.nix
  ./nix.nix
  ./ssh-serve.nix
  ./openssh.nix
  ./ssh.nix
]
