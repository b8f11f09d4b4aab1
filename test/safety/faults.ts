import { until } from "../../dev/lab/until.ts";
import type { Home } from "../system/home.ts";

/** Something that goes wrong on a machine while it is being changed. */
export interface Fault {
  name: string;
  /** An edit of its owner's that the rebuild activates too: a NixOS module. */
  edit?: string;
  /** What else is wrong on the machine before the update. */
  before?: (home: Home, host: string) => Promise<unknown>;
  /** What happens during it. */
  during?: (home: Home, host: string) => Promise<unknown>;
  /** Undoes `before` and `during`. */
  after?: (home: Home, host: string) => Promise<unknown>;
  /** Whether `after` has to come before the machine can be looked at. */
  afterFirst?: true;
  /** What `pulumi up` says of it; undefined where the change goes through. */
  says?: RegExp;
}

const unit = (start: string, stop: string) => `{
  systemd.services.fault = {
    wantedBy = [ "multi-user.target" ];
    serviceConfig = {
      Type = "oneshot";
      RemainAfterExit = true;
      ExecStart = "/bin/sh -c '${start}'";
      ExecStop = "/bin/sh -c '${stop}'";
    };
  };
}`;

/** As a firewall would: what comes in is heard, and no answer goes out. */
export const shutOut = unit("ip route add 192.0.2.1 via 192.0.2.254", "ip route del 192.0.2.1");

const sshdOff = "{ lib, ... }: { services.openssh.enable = lib.mkForce false; }";
const wentBack = /went back to the system before|The machine is back on the system before/;
const pending = "/var/lib/nixos-cache/pending";

/** File systems of their own, with no byte left. */
const fullDisks = `for folder in /var/lib/nixos-cache /etc/nixos; do
  cp -a $folder /root/copy && mount -t tmpfs -o size=8m,mode=$(stat -c %a $folder) tmpfs $folder &&
  cp -a /root/copy/. $folder && rm -rf /root/copy
  cat /dev/zero >$folder/filling || true
done`;
const roomAgain = `for folder in /var/lib/nixos-cache /etc/nixos; do
  rm $folder/filling && cp -a $folder /root/copy && umount $folder && rm -rf $folder && mv /root/copy $folder
done`;

const onTrial = (home: Home, host: string) =>
  until(async () => (await home.tryOn(host, `test -e ${pending}/switched`)).code === 0, {
    seconds: 60,
    otherwise: `${host} is never on trial`,
  });

export const faults: Fault[] = [
  {
    name: "does not evaluate",
    edit: "{ there.is.no = true; }",
    says: /does not build, nothing was switched[\s\S]*option `there' does not exist/,
  },
  {
    name: "does not build",
    edit: `{ pkgs, ... }: { environment.etc.fault.source = pkgs.runCommand "fault" { } "echo broken >&2; exit 1"; }`,
    says: /does not build, nothing was switched[\s\S]*fault/,
  },
  {
    name: "module not imported",
    before: (home, host) =>
      home.on(host, "sed -i 's/^  imports = .*/  imports = [ ];/' /etc/nixos/base.nix"),
    after: (home, host) => home.on(host, "git -C /etc/nixos checkout -q base.nix"),
    says: /does not import nixos-cache, nothing was switched/,
  },
  {
    name: "activation fails half-way",
    edit: '{ system.activationScripts.fault = "exit 3"; }',
    says: /switching to \S+ failed[\s\S]*back on the system before/,
  },
  {
    name: "a unit fails",
    edit: unit("exit 1", "true"),
    says: /switching to \S+ failed[\s\S]*fault.service[\s\S]*back on the system before/,
  },
  { name: "sshd off", edit: sshdOff, says: wentBack },
  {
    name: "firewall shuts everybody out",
    edit: shutOut,
    says: wentBack,
  },
  {
    name: "address changed",
    edit: unit(
      "ip addr add 192.0.2.99/24 dev eth0 && ip addr del $$(cat /etc/address)/24 dev eth0",
      "ip addr add $$(cat /etc/address)/24 dev eth0; ip addr del 192.0.2.99/24 dev eth0",
    ),
    before: (home, host) => home.on(host, `echo ${home.lab.address(host)} >/etc/address`),
    says: wentBack,
  },
  {
    name: "power cut on trial",
    afterFirst: true,
    edit: sshdOff,
    during: async (home, host) => {
      await onTrial(home, host);
      await home.lab.powerOff(host);
    },
    after: (home, host) => home.lab.powerOn(host),
    says: /failed/,
  },
  {
    name: "reboot on trial",
    edit: sshdOff,
    during: async (home, host) => {
      await onTrial(home, host);
      await home.lab.reboot(host);
    },
    says: /failed/,
  },
  {
    name: "connection dropped in the switch",
    afterFirst: true,
    edit: '{ system.activationScripts.fault = "sleep 3"; }',
    during: async (home, host) => {
      await until(async () => (await home.tryOn(host, `test -e ${pending}/unit`)).code === 0, {
        seconds: 60,
        otherwise: `${host} never switches`,
      });
      await home.lab.cut(host);
    },
    after: (home, host) => home.lab.mend(host),
    says: /failed/,
  },
  {
    name: "full disk",
    afterFirst: true,
    before: (home, host) => home.on(host, fullDisks),
    after: (home, host) => home.on(host, roomAgain),
    says: /No space left on device/,
  },
  {
    name: "read-only file system",
    afterFirst: true,
    before: (home, host) =>
      home.on(host, "mount --bind /etc/nixos /etc/nixos && mount -o remount,ro,bind /etc/nixos"),
    after: (home, host) => home.on(host, "umount /etc/nixos"),
    says: /Read-only file system/,
  },
  {
    name: "somebody's nixos-rebuild at the same time",
    // As long as its switch takes, which here is five seconds.
    before: (home, host) =>
      home.on(
        host,
        "setsid flock /run/nixos/switch-to-configuration.lock sleep 5 >/dev/null 2>&1 </dev/null &",
      ),
  },
];
