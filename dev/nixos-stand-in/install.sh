#!/bin/sh
# Usage: install.sh ROOT
# Lays the lab's stand-in for NixOS into ROOT, a Debian tree (trixie or newer) holding the packages listed in ./packages.
# Run once for the base tree, as root; it only writes files and runs nothing in the tree.
# What the tree then does: boots straight to `sshd.service` (Debian's ssh.service and ssh.socket are masked; host
# keys are removed here, and an ed25519 one is made at the start of sshd unless somebody laid
# /etc/ssh/ssh_host_ed25519_key before), and has `nixos-rebuild` on PATH. Each host needs new-host.sh, a boot, and one
# `nixos-rebuild switch` after it, as on a new NixOS machine.
set -eu
umask 022
if [ $# != 1 ] || [ ! -d "$1/etc" ]; then
  echo "usage: install.sh ROOT" >&2
  exit 1
fi
root=$1
here=$(cd "$(dirname "$0")" && pwd)
units=$root/etc/systemd/system

rm -rf "$root/etc/nixpkgs"
cp -r "$here/nixpkgs" "$root/etc/nixpkgs"
# The upstream version of each Debian package, for pkgs.nix.
{
  echo '{'
  # shellcheck disable=SC2016  # dpkg-query expands these
  dpkg-query --admindir="$root/var/lib/dpkg" --show --showformat='  "${Package}" = "${source:Upstream-Version}";\n'
  echo '}'
} > "$root/etc/nixpkgs/versions.nix"
mkdir -p "$root/usr/local/bin" "$root/etc/nix" "$root/boot"
ln -sfn /etc/nixpkgs/nixos/nixos-rebuild.sh "$root/usr/local/bin/nixos-rebuild"

# As on NixOS, PAM gives this to every login and to sudo, and so do shells; systemd's units do not have it.
path=/run/wrappers/bin:/run/current-system/sw/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin
nix_path=nixpkgs=/etc/nixpkgs:nixos-config=/etc/nixos/configuration.nix
printf 'PATH=%s\nNIX_PATH=%s\n' $path $nix_path > "$root/etc/environment"
printf 'export PATH=%s NIX_PATH=%s\n' $path $nix_path > "$root/etc/set-environment"
echo '. /etc/set-environment' > "$root/etc/profile.d/nixos.sh"
echo 'session required pam_env.so' >> "$root/etc/pam.d/sudo"

: > "$root/etc/default/locale" # read at each login

# Until the first switch: builds in a sandbox that has Debian's programs, and no substituter.
cat > "$root/etc/nix/nix.conf" << 'EOF'
sandbox = true
sandbox-paths = /bin /lib /lib64? /usr
substituters =
EOF
# Debian lets only its group nix-users use the daemon; NixOS lets everybody.
cat > "$root/etc/tmpfiles.d/nix-daemon.conf" << 'EOF'
d /nix/var/nix/daemon-socket 755 root root
d /nix/var/nix/gcroots/per-user 1777
d /nix/var/nix/profiles/per-user 1777
EOF

# Every switch restarts the daemon, in tests several times in a second: that is no restart loop.
mkdir -p "$units/nix-daemon.socket.d"
printf '[Unit]\nStartLimitIntervalSec=0\n[Socket]\nTriggerLimitIntervalSec=0\n' > "$units/nix-daemon.socket.d/limit.conf"

# Else a user's manager ends with every last logout, and a login waits for that, now and then 25 seconds.
mkdir -p "$root/etc/systemd/logind.conf.d"
printf '[Login]\nUserStopDelaySec=infinity\n' > "$root/etc/systemd/logind.conf.d/keep-user-managers.conf"

# The boot waits for stage 2, then goes on as usual. Not in /etc, where units are the system's.
own=$root/usr/lib/systemd/system
cat > "$own/stage-2.service" << 'EOF'
[Unit]
Description=Stand-in for stage 2 of NixOS' boot
DefaultDependencies=no
After=local-fs.target systemd-tmpfiles-setup.service
Before=shutdown.target
Conflicts=shutdown.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/etc/nixpkgs/nixos/stage-2.sh
StandardError=journal+console
EOF
cat > "$own/stage-2.target" << 'EOF'
[Unit]
Description=What the boot starts by itself
Requires=stage-2.service
After=stage-2.service
EOF
ln -sfn /usr/lib/systemd/system/stage-2.target "$units/default.target"

# By this one knows NixOS. Its systemd has the settings that the system brings, if any.
: > "$root/etc/NIXOS"
rm -f "$root/etc/systemd/system.conf"

# NixOS' name for sshd. The first switch replaces this unit by the generated one.
rm -f "$units/sshd.service" "$units/multi-user.target.wants/ssh.service" "$root"/etc/ssh/ssh_host_*
rm -rf "$units"/ssh.service.wants "$units"/ssh.socket.wants "$units"/sshd.service.wants "$units"/sshd@.service.wants
ln -sfn /dev/null "$units/ssh.service"
ln -sfn /dev/null "$units/ssh.socket"
cat > "$units/sshd.service" << 'EOF'
[Unit]
StartLimitIntervalSec=0

[Service]
Type=notify
KillMode=process
RuntimeDirectory=sshd
ExecStartPre=/bin/sh -c 'test -s /etc/ssh/ssh_host_ed25519_key || exec ssh-keygen -q -t ed25519 -N "" -f /etc/ssh/ssh_host_ed25519_key'
ExecStart=/usr/sbin/sshd -D -f /etc/ssh/sshd_config
EOF
ln -sfn ../sshd.service "$units/multi-user.target.wants/sshd.service"

# Debian's timers would look for updates.
for timer in apt-daily apt-daily-upgrade dpkg-db-backup fstrim man-db; do
  rm -f "$units/timers.target.wants/$timer.timer"
done
