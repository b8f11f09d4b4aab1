import { buildNewPath, fetchPath } from "../../dev/lab/demonstration.ts";
import type { Home } from "../system/home.ts";
import { goOn, kill, type Moment, stopAt } from "./moment.ts";
import { editBy } from "./owner.ts";

/** Something that goes wrong on a machine while it is being changed, or that its owner does or has. */
export interface Fault {
  name: string;
  /** The only host that it makes sense on. */
  only?: "kalaw";
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
  /** Fails where something else does not hold after the update. */
  holds?: (home: Home, host: string) => Promise<unknown>;
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
const activationFails = 'system.activationScripts.fault = "exit 3";';
const slowActivation = '{ system.activationScripts.fault = "sleep 3"; }';
const wentBack = /this machine went back to the system before/;
const trial = "/var/lib/nixos-cache/trial";

/** File systems of their own. */
const ownDisks = `for folder in /var/lib/nixos-cache /etc/nixos; do
  cp -a $folder /root/copy && mount -t tmpfs -o size=8m,mode=$(stat -c %a $folder) tmpfs $folder &&
  cp -a /root/copy/. $folder && rm -rf /root/copy
done`;
const fill = `for folder in /var/lib/nixos-cache /etc/nixos; do cat /dev/zero >$folder/filling || true; done`;
const roomAgain = `for folder in /var/lib/nixos-cache /etc/nixos; do
  rm $folder/filling && cp -a $folder /root/copy && umount $folder && rm -rf $folder && mv /root/copy $folder
done`;

/** The machine's power is cut at that moment; it comes back for `after`. */
function powerCut(moment: Moment, lastly = "true"): Pick<Fault, "during" | "after" | "afterFirst"> {
  return {
    afterFirst: true,
    during: async (home, host) => {
      await stopAt(home, host, moment);
      await home.on(host, lastly);
      await home.lab.powerOff(host);
    },
    after: (home, host) => home.lab.powerOn(host),
  };
}

const killedAt = (moment: Moment) => async (home: Home, host: string) => {
  await stopAt(home, host, moment);
  await kill(home, host, moment);
};

/** What the owner does while the change waits, and nobody can decide on it. */
const onTrial = (script: string) => async (home: Home, host: string) => {
  await stopAt(home, host, "it waits");
  await home.on(host, script);
  await goOn(home, host, "it waits");
};

async function fetches(home: Home): Promise<void> {
  await fetchPath(home.lab, "pai", await buildNewPath(home.lab, "kalaw"));
}

/** What is wrong with the configuration. */
const configurations: Fault[] = [
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
    name: "DenyUsers names nix-ssh",
    only: "kalaw",
    edit: '{ services.openssh.settings.DenyUsers = [ "nix-ssh" ]; }',
    says: /does not build, nothing was switched[\s\S]*take nix-ssh out of services.openssh.settings.DenyUsers/,
  },
  {
    name: "AllowUsers without nix-ssh",
    only: "kalaw",
    edit: '{ services.openssh.settings.AllowUsers = [ "root" "fay" ]; }',
    holds: async (home, host) => {
      await home.on(host, "sshd -T | grep -qi '^allowusers fay'");
      await fetches(home);
    },
  },
  {
    name: "only @wheel may use Nix",
    only: "kalaw",
    edit: '{ nix.settings.allowed-users = [ "@wheel" ]; }',
    holds: async (home, host) => {
      await home.on(host, "grep -q '^allowed-users = @wheel' /etc/nix/nix.conf");
      await fetches(home);
    },
  },
];

/** What is wrong with the new system. */
const systems: Fault[] = [
  {
    name: "activation fails half-way",
    edit: `{ ${activationFails} }`,
    says: /switching to \S+ failed[\s\S]*back on the system before/,
  },
  {
    name: "a unit fails",
    edit: unit("exit 1", "true"),
    says: /switching to \S+ failed[\s\S]*fault.service[\s\S]*back on the system before/,
  },
  {
    name: "activation fails beside a unit that had failed before",
    before: async (home, host) => {
      await editBy(home, host, unit("exit 1", "true"));
      expectCode(
        4,
        await home.tryOn(host, "nixos-rebuild build && result/bin/switch-to-configuration switch"),
      );
      await editBy(home, host, unit("exit 1", "true").replace("{", `{ ${activationFails}`));
    },
    after: (home, host) => editBy(home, host),
    says: /switching to \S+ failed[\s\S]*Activation script snippet/,
  },
  {
    name: "a pre-switch check refuses the way back",
    before: async (home, host) => {
      const check = 'system.preSwitchChecks.fault = "test ! -e /etc/fault";';
      await editBy(home, host, `{ ${check} }`);
      await home.on(host, "nixos-rebuild switch");
      const fault = `${check} environment.etc.fault.text = "";`;
      await editBy(home, host, unit("exit 1", "true").replace("{", `{ ${fault}`));
    },
    after: (home, host) => editBy(home, host),
    says: /switching to \S+ failed[\s\S]*fault.service[\s\S]*back on the system before/,
  },
  {
    name: "a unit restarts for ever",
    edit: `{ systemd.services.fault = {
      wantedBy = [ "multi-user.target" ];
      serviceConfig = { ExecStart = "/bin/sh -c 'exit 3'"; Restart = "always"; RestartSec = 3; };
    }; }`,
    says: /switching to \S+ failed[\s\S]*fault.service[\s\S]*back on the system before/,
  },
  {
    name: "a unit never starts",
    edit: unit("exec sleep infinity", "true"),
    says: /switching to \S+ failed[\s\S]*had not ended after 100 s[\s\S]*back on the system before/,
  },
  { name: "sshd off", edit: sshdOff, says: wentBack },
  { name: "firewall shuts everybody out", edit: shutOut, says: wentBack },
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
    name: "systemd re-executes itself",
    edit: '{ environment.etc."systemd/system.conf".text = "[Manager]\\nLogLevel=notice\\n"; }',
    // With many units it takes half a second, in which systemctl has no answer.
    before: (home, host) =>
      home.on(
        host,
        `cd /run/systemd/system && for unit in $(seq --format=many-%g.service 500); do
           printf '[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\n' >$unit
         done
         systemctl daemon-reload && seq --format=many-%g.service 500 | xargs systemctl start`,
      ),
    after: (home, host) =>
      home.on(
        host,
        "systemctl stop 'many-*' && rm /run/systemd/system/many-*.service && systemctl daemon-reload",
      ),
    during: (home, host) =>
      home.on(
        host,
        // The switch does so itself, for its system.conf; here it comes before it, when the unit starts, and after it.
        `timeout 60 sh -c 'until [ -d ${trial} ]; do sleep 0.1; done'
         while [ -d ${trial} ]; do
           grep -q switching ${trial}/phase || systemctl daemon-reexec || true
           sleep 0.3
         done`,
      ),
  },
];

/** What becomes of the machine meanwhile. */
const machines: Fault[] = [
  { name: "power cut when the files are kept", says: /failed/, ...powerCut("the files are kept") },
  {
    name: "power cut while the files are written, and git has its lock",
    says: /failed/,
    ...powerCut("the files are written", "touch /etc/nixos/.git/index.lock"),
  },
  { name: "power cut while it builds", says: /failed/, ...powerCut("it builds") },
  {
    name: "power cut in the switch",
    edit: slowActivation,
    says: /failed/,
    ...powerCut("it switches"),
  },
  { name: "power cut on trial", edit: sshdOff, says: /failed/, ...powerCut("it waits") },
  {
    name: "power cut when the profile is set",
    // So that the moment lasts.
    edit: `{ system.preSwitchChecks.slow = ''[ "$2" != boot ] || sleep 3''; }`,
    says: /failed/,
    ...powerCut("the profile is set"),
  },
  {
    name: "reboot on trial",
    edit: sshdOff,
    during: async (home, host) => {
      await stopAt(home, host, "it waits");
      await goOn(home, host, "it waits");
      await home.lab.reboot(host);
    },
    says: /failed/,
  },
  {
    name: "boot loader fails",
    before: (home, host) =>
      home.on(host, "mount --bind /boot /boot && mount -o remount,ro,bind /boot"),
    after: (home, host) => home.on(host, "umount /boot"),
    says: /the boot default failed[\s\S]*Read-only file system[\s\S]*back on the system before/,
  },
  {
    name: "full disk",
    afterFirst: true,
    before: (home, host) => home.on(host, `${ownDisks}\n${fill}`),
    after: (home, host) => home.on(host, roomAgain),
    says: /No space left on device/,
  },
  {
    name: "the disk gets full while it builds",
    afterFirst: true,
    before: (home, host) => home.on(host, ownDisks),
    during: async (home, host) => {
      await stopAt(home, host, "it builds");
      await home.on(host, fill);
      await goOn(home, host, "it builds");
    },
    after: (home, host) => home.on(host, roomAgain),
    says: /No space left on device/,
  },
  {
    name: "read-only file system",
    afterFirst: true,
    before: (home, host) =>
      home.on(host, "mount --bind /etc/nixos /etc/nixos && mount -o remount,ro,bind /etc/nixos"),
    after: (home, host) => home.on(host, "umount /etc/nixos"),
    says: /\/etc\/nixos cannot be written on this machine/,
  },
];

/** What becomes of the update, and what the owner does meanwhile. */
const updates: Fault[] = [
  {
    name: "killed when the files are kept",
    during: killedAt("the files are kept"),
    says: /SIGKILL|signal KILL|status 137/,
  },
  {
    name: "killed while the files are written",
    during: killedAt("the files are written"),
    says: /SIGKILL|signal KILL|status 137/,
  },
  {
    name: "killed while it builds",
    during: killedAt("it builds"),
    says: /SIGKILL|signal KILL|status 137/,
  },
  {
    name: "the trial's unit is killed",
    during: killedAt("it waits"),
    says: /went back to the system before[\s\S]*the switch was interrupted/,
  },
  {
    name: "connection dropped in the switch",
    afterFirst: true,
    edit: slowActivation,
    during: async (home, host) => {
      await stopAt(home, host, "it switches");
      await home.lab.cut(host);
      await goOn(home, host, "it switches");
    },
    after: (home, host) => home.lab.mend(host),
    says: /failed/,
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
  {
    name: "the owner switches on trial",
    during: async (home, host) => {
      await stopAt(home, host, "it waits");
      await editBy(home, host, '{ environment.etc.theirs.text = "theirs"; }');
      await home.on(host, "nixos-rebuild switch");
      await goOn(home, host, "it waits");
    },
    after: (home, host) => editBy(home, host),
    holds: (home, host) => home.on(host, "test -e /nix/var/nix/profiles/system/etc/theirs"),
  },
  {
    name: "the owner goes back to the first generation on trial",
    during: onTrial(
      `nix-env --profile /nix/var/nix/profiles/system --switch-generation 1 &&
       /nix/var/nix/profiles/system/bin/switch-to-configuration switch`,
    ),
    says: /switched to another system while the change was on trial[\s\S]*It stays on that system/,
    holds: (home, host) =>
      home.on(
        host,
        '[ "$(readlink -f /run/current-system)" = "$(readlink -f /nix/var/nix/profiles/system-1-link)" ]',
      ),
  },
];

export const faults: Fault[] = [...configurations, ...systems, ...machines, ...updates];

function expectCode(code: number, outcome: { code: number; stdout: string; stderr: string }): void {
  if (outcome.code !== code) {
    throw new Error(`exit status ${outcome.code}\n${outcome.stdout}${outcome.stderr}`);
  }
}
