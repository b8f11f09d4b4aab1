import { plainWords } from "../../machine/plain-words.ts";
import { age } from "../age.ts";
import { type Answer, wholeNumber } from "../answer.ts";
import { size } from "../size.ts";
import { cachePlace, storePlace } from "../store-place.ts";
import { type Check, type Finding, findings } from "./finding.ts";
import { atLeast } from "./versions.ts";

/** A machine, and what the settings want of it. */
export interface MachineFacts {
  /** To the question `doctor`. */
  answer: Answer;
  /** When the answer came, in milliseconds since 1970 by the operator's clock. */
  at: number;
  serves: boolean;
  /** Whether `pulumi up` writes its settings to /etc/nixos. */
  isRebuiltByPulumi: boolean;
  /** What it fetches from: the name of each server, its address, and the key that its signatures are trusted by. */
  caches: readonly { name: string; address: string; trustedKey: string | undefined }[];
}

/** What docs/how-to/own-machines.md asks for. */
const needed = { nixos: "24.11", nix: "2.24" };

const system: Check<MachineFacts> = ({ answer }) => {
  const [nixos, nix] = [answer.words("nixos"), answer.words("nix")];
  if (nixos === "") {
    return [
      {
        wrong: "it does not run NixOS",
        todo: "take it out of the settings, or install NixOS on it",
      },
    ];
  }
  return [
    ...(atLeast(nixos, needed.nixos)
      ? []
      : [
          {
            wrong: `its NixOS ${nixos} is too old`,
            todo: `upgrade it to NixOS ${needed.nixos} or newer`,
          },
        ]),
    ...(atLeast(nix, needed.nix)
      ? []
      : [
          {
            wrong: `its Nix ${nix} is too old for what the caches of today speak`,
            todo: `set nix.package to Nix ${needed.nix} or newer`,
          },
        ]),
  ];
};

const daemon: Check<MachineFacts> = ({ answer }) => {
  const state = answer.words("daemon");
  return state === "active"
    ? []
    : [
        {
          wrong: `its Nix daemon's socket is ${state || "missing"}`,
          todo: "run systemctl start nix-daemon.socket on it, and see systemctl status nix-daemon",
        },
      ];
};

const sftp: Check<MachineFacts> = ({ answer }) =>
  answer.text("sftp") === undefined
    ? [
        {
          wrong: "its sshd offers no SFTP, by which the helper comes",
          todo: "take services.openssh.allowSFTP = false out of its configuration",
        },
      ]
    : [];

/** So many seconds are no matter to anybody. */
const clockTolerance = 60;

const clock: Check<MachineFacts> = ({ answer, at }) => {
  const time = answer.number("time");
  if (time === undefined) return [];
  const ahead = time - at / 1000;
  if (Math.abs(ahead) <= clockTolerance) return [];
  return [
    {
      wrong: `its clock is ${age(Math.abs(ahead) * 1000)} ${ahead > 0 ? "ahead of" : "behind"} this computer's`,
      todo: "set services.timesyncd.enable = true on the one that is wrong, and see timedatectl",
    },
  ];
};

const importLine: Check<MachineFacts> = ({ answer, isRebuiltByPulumi }) =>
  isRebuiltByPulumi && answer.text("import") === "no"
    ? [
        {
          wrong: "no file in its /etc/nixos imports ./nixos-cache",
          todo: "add to a module of it: imports = lib.optional (builtins.pathExists ./nixos-cache) ./nixos-cache; nixos-cache init shows the lines for that very file",
        },
      ]
    : [];

/** Bytes and inodes that each folder should have left: a rebuild of NixOS takes more than its own files do. */
const room: Record<string, { bytes: number; inodes: number; todo: string }> = {
  "/nix/store": {
    bytes: 2 ** 30,
    inodes: 10_000,
    todo: "run nix-collect-garbage --delete-older-than 30d on it, or give it a larger disk",
  },
  "/var/lib": { bytes: 2 ** 26, inodes: 1_000, todo: "make room on the disk of /var/lib" },
  "/etc/nixos": { bytes: 2 ** 22, inodes: 100, todo: "make room on the disk of /etc/nixos" },
  "/boot": {
    bytes: 2 ** 25,
    inodes: 10,
    todo: "delete old generations, and set boot.loader.systemd-boot.configurationLimit",
  },
};

const disk: Check<MachineFacts> = ({ answer }) =>
  answer.all("free").flatMap(([folder = "", bytes, inodes]) => {
    const wanted = Object.hasOwn(room, folder) ? room[folder] : undefined;
    const free = { bytes: wholeNumber(bytes), inodes: wholeNumber(inodes) };
    if (wanted === undefined || free.bytes === undefined) return [];
    if (free.bytes < wanted.bytes) {
      return [{ wrong: `${folder} has ${size(free.bytes)} left`, todo: wanted.todo }];
    }
    return free.inodes !== undefined && free.inodes < wanted.inodes
      ? [{ wrong: `${folder} has room for ${free.inodes} more files only`, todo: wanted.todo }]
      : [];
  });

const persistence: Check<MachineFacts> = ({ answer }) =>
  answer.all("volatile").map(([folder = "", type = ""]) => ({
    wrong: `${plainWords(folder)} is in memory (${plainWords(type)}), so it is gone at the next start`,
    todo: `keep it on a disk, for example: environment.persistence."/persist".directories = [ "${plainWords(folder)}" ]`,
  }));

/** Settings of Nix in which an owner's own have undone ours. */
const nixSettings: Check<MachineFacts> = ({ answer, serves, caches }) => {
  const values = new Map(answer.all("setting").map(([name = "", value = ""]) => [name, value]));
  const words = (name: string) => values.get(name)?.split(/\s+/);
  const places = "look in nix.settings, nix.extraOptions and /root/.config/nix/nix.conf";
  const found: Finding[] = [];
  const substituters = words("substituters")?.map(storePlace);
  const trusted = words("trusted-public-keys");
  for (const { name, address, trustedKey } of caches) {
    if (substituters !== undefined && !substituters.includes(cachePlace(address))) {
      found.push({
        wrong: `Nix does not ask ${name}: it is not among the substituters`,
        todo: `${places} for substituters without ours`,
      });
    }
    if (trustedKey !== undefined && trusted !== undefined && !trusted.includes(trustedKey)) {
      found.push({
        wrong: `Nix does not trust the signatures of ${name}`,
        todo: `${places} for trusted-public-keys without ours; or run pulumi up`,
      });
    }
  }
  if (caches.length > 0 && values.get("substitute") === "false") {
    found.push({
      wrong: "Nix fetches nothing: substitute is false",
      todo: `${places} for substitute = false, and take it out`,
    });
  }
  if (caches.length > 0 && values.get("fallback") === "false") {
    found.push({
      wrong: "a build fails while its cache is off: fallback is false",
      todo: `${places} for fallback = false, and take it out`,
    });
  }
  if (serves && values.get("secret-key-files") === "") {
    found.push({
      wrong: "Nix signs nothing that it builds: secret-key-files is empty",
      todo: `${places} for secret-key-files without ours; or run pulumi up`,
    });
  }
  const allowed = words("allowed-users");
  if (serves && allowed !== undefined && !["*", "nix-ssh"].some((user) => allowed.includes(user))) {
    found.push({
      wrong: "Nix does not let nix-ssh read the store: it is not among allowed-users",
      todo: `${places} for allowed-users without nix-ssh`,
    });
  }
  return found;
};

export const machineFindings = (facts: MachineFacts): Finding[] =>
  findings([system, daemon, sftp, clock, importLine, disk, persistence, nixSettings], facts);
