import { accessSync, constants, existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { execa } from "execa";
import type { Report } from "../tools/report.ts";
import { cgroupMount } from "./cgroup.ts";
import { debianKeyring } from "./debian-keyring.ts";

/** What the lab needs of the computer, as found on it. */
export interface Computer {
  /** As Node names it, e.g. `linux`, `darwin`. */
  platform: string;
  root: boolean;
  /** Whether it installs its software with apt-get. */
  apt: boolean;
  /** The Debian packages of what it lacks. */
  missing: string[];
  /** Whether there is a control group tree of version 2 that can be written to. */
  cgroup: boolean;
  /** Whether the kernel has overlayfs, or a module of it. */
  overlay: boolean;
}

// A program or a file that the package brings, by which we see that it is there, wherever it comes from.
const packages: Record<string, string> = {
  mmdebstrap: "mmdebstrap",
  "systemd-nspawn": "systemd-container",
  ip: "iproute2",
  ssh: "openssh-client",
  "ssh-keygen": "openssh-client",
  git: "git",
  nsenter: "util-linux",
  unshare: "util-linux",
  setpriv: "util-linux",
  flock: "util-linux",
  mount: "mount",
  umount: "mount",
  [debianKeyring()]: "debian-archive-keyring",
};

/** Checks that the lab can run here, and installs the Debian packages of what it needs and is missing. With all of it on
 * PATH, as in the shell of shell.nix, no apt is asked for.
 * @param more other programs that are needed, each with its package.
 * @throws one message with all that is in the way, and what to do about it. */
export async function meetRequirements(
  report: Report,
  more: Record<string, string> = {},
): Promise<void> {
  const computer = await thisComputer(more);
  checkComputer(computer);
  const { missing } = computer;
  if (missing.length === 0) return;
  report(`Installing the Debian packages ${missing.join(", ")}`);
  try {
    await aptInstall(missing);
  } catch {
    // The package lists may be old, or not there at all.
    report("Fetching apt's package lists");
    await apt("update");
    await aptInstall(missing);
  }
}

/** @throws one message with all that is in the way, and what to do about it. */
export function checkComputer(computer: Computer): void {
  const problems = problemsOf(computer);
  if (problems.length === 0) return;
  const list = problems.map((problem) => `  - ${problem}`).join("\n");
  throw new Error(`The lab cannot run here:\n${list}`);
}

function problemsOf({ platform, root, apt, missing, cgroup, overlay }: Computer): string[] {
  if (platform !== "linux") {
    const advice = "run it on a Debian machine, a virtual one will do";
    return [`its hosts are Linux containers, and this is ${platform}: ${advice}`];
  }
  const problems: string[] = [];
  if (!root) problems.push("it needs root, for containers and networks: run it with sudo");
  if (!apt && missing.length > 0) {
    problems.push(
      `there is no apt-get to install ${missing.join(", ")}: run it on Debian or a relative of it, or with Nix in \`nix-shell\``,
    );
  }
  // Who is not root cannot tell about the rest.
  if (root && !cgroup)
    problems.push("control groups version 2 are not mounted, or read-only: mount them read-write");
  if (root && !overlay) problems.push("the kernel has no overlayfs: load the module overlay");
  return problems;
}

/** Looks at the computer that this runs on.
 * @param more other programs that are needed, each with its package. */
export async function thisComputer(more: Record<string, string> = {}): Promise<Computer> {
  const { platform } = process;
  const root = process.getuid?.() === 0;
  const linux = platform === "linux";
  return {
    platform,
    root,
    apt: found("apt-get"),
    missing: missingPackages({ ...packages, ...more }),
    cgroup: linux && isWritable(cgroupMount()),
    overlay: linux && root && (await hasOverlay()),
  };
}

function missingPackages(needed: Record<string, string>): string[] {
  const missing = Object.entries(needed).filter(([file]) => !found(file));
  return [...new Set(missing.map(([, name]) => name))];
}

function found(file: string): boolean {
  if (file.startsWith("/")) return existsSync(file);
  // sbin is not on everybody's PATH.
  const folders = [...(process.env.PATH ?? "").split(delimiter), "/usr/sbin", "/sbin"];
  return folders.some((folder) => existsSync(join(folder, file)));
}

function isWritable(folder: string | undefined): boolean {
  try {
    accessSync(folder ?? "", constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

async function hasOverlay(): Promise<boolean> {
  const listed = async () => /\toverlay$/m.test(await readFile("/proc/filesystems", "utf8"));
  if (await listed()) return true;
  await execa("modprobe", ["overlay"], { reject: false });
  return listed();
}

async function aptInstall(names: string[]): Promise<void> {
  await apt("install", "--yes", "--no-install-recommends", ...names);
}

async function apt(...args: string[]): Promise<void> {
  const env = { DEBIAN_FRONTEND: "noninteractive" };
  await execa("apt-get", ["--quiet", "-o", "DPkg::Lock::Timeout=300", ...args], {
    env,
    stdin: "ignore",
    all: true,
  });
}
