# A machine with channels instead of a flake.
{
  imports = [
    ./base.nix
    ./network.nix
    ./hosts/HOST.nix
  ];
}
