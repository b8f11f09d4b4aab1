import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, open, readFile, rename, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { execa } from "execa";
import type { Report } from "../tools/report.ts";
import { Cgroup, joining } from "./cgroup.ts";
import { makeKeyPair } from "./key-pair.ts";
import type { Network } from "./network.ts";
import { type Outcome, outcome } from "./outcome.ts";
import { realTools } from "./real-tools.ts";
import { until } from "./until.ts";

const script = (name: string) => join(import.meta.dirname, name);

// Long enough for a small machine that does other work too; the usual time is a second.
const patience = 120;

// What a login gives root beside the host's own environment.
const environment = ["HOME=/root", "USER=root", "LOGNAME=root", "SHELL=/bin/sh", "LANG=C.UTF-8"];

/**
 * How the owner of a host keeps its NixOS configuration: `git`, a flake in a git repository; `no-git`, a flake in a
 * folder that is none; `channel`, `configuration.nix` and no flake.
 */
export type HostKind = "git" | "no-git" | "channel";

/** What a host is made from. */
export interface NewHost {
  baseTree: string;
  kind: HostKind;
  /** The other hosts of the lab, which it shall know by name. */
  others: readonly string[];
  /** The public key, one line, that logs in as root and as the people of the host. */
  operatorKey: string;
}

/**
 * One throwaway host: a systemd-nspawn container whose root is an overlay over the base tree. All
 * that it is made of is in `folder`, all its processes are in one control group.
 */
export class Host {
  readonly name: string;
  readonly folder: string;
  private readonly network: Network;
  private readonly cgroup: Cgroup;

  constructor(name: string, lab: { id: string; folder: string }, network: Network) {
    this.name = name;
    this.folder = join(lab.folder, "hosts", name);
    this.network = network;
    this.cgroup = new Cgroup(`nixcache-${lab.id}-${name}`);
  }

  /** The console's output, and what systemd-nspawn said, since the host was made. */
  get console(): string {
    return join(this.folder, "console.log");
  }

  /** The public half of its host key: a file with one line, `ssh-ed25519 AAAA…`. */
  get hostKeyFile(): string {
    return join(this.folder, "ssh_host_ed25519_key.pub");
  }

  /** The folder of the base tree that the host was made from; undefined if the host is not made. */
  baseTree(): Promise<string | undefined> {
    return madeFrom(this.folder);
  }

  /** Makes the host anew, off, with its own key and its NixOS configuration. */
  async make({ baseTree, kind, others, operatorKey }: NewHost): Promise<void> {
    await this.remove();
    await mkdir(this.folder, { recursive: true, mode: 0o700 });
    await makeKeyPair(join(this.folder, "ssh_host_ed25519_key"), `root@${this.name}`);
    await writeFile(join(this.folder, "authorized_keys"), operatorKey);
    const names = [this.name, ...others].map((name) => `${name}=${this.network.address(name)}`);
    const newRoot = [
      "sh",
      script("new-root.sh"),
      script("../nixos-stand-in/new-host.sh"),
      kind,
      ...names,
    ];
    const [command = "", ...args] = this.withRoot(baseTree, newRoot);
    await execa(command, args, { stdin: "ignore", all: true });
    await this.mark("made", baseTree);
  }

  /** Boots the host, and waits until systemd has started all that starts by itself.
   * @returns the state that systemd is in: `running`, or `degraded` if a unit failed. */
  async start(): Promise<string> {
    const baseTree = await this.baseTree();
    if (baseTree === undefined) throw new Error(`${this.name} is not made`);
    const tools = realTools();
    await this.cgroup.kill();
    const nspawn = [
      ...["--boot", "--quiet", "--settings=no", "--register=no", "--keep-unit"],
      ...[`--machine=${basename(this.cgroup.path, ".scope")}`, `--hostname=${this.name}`],
      `--network-namespace-path=${this.network.namespace(this.name)}`,
      // Its root may do with its network what root of a real machine may.
      "--capability=CAP_NET_ADMIN",
      ...["--resolv-conf=off", "--timezone=off", "--link-journal=no", "--console=read-only"],
      ...(tools === undefined ? [] : [`--bind-ro=${quoted(tools)}:/opt/nixos-real-tools`]),
      "--directory=root",
    ];
    const boot = this.withRoot(baseTree, ["sh", script("boot.sh"), this.cgroup.path, ...nspawn]);
    const [command = "", ...args] = [...(await this.cgroup.enter()), ...boot];
    const log = await open(this.console, "a");
    // In a session of its own: it outlives this command and its terminal.
    const child = spawn(command, args, { detached: true, stdio: ["ignore", log.fd, log.fd] });
    await log.close();
    child.unref();
    return this.booted(() => child.exitCode === null && child.signalCode === null);
  }

  /** Waits until systemd has started all that starts by itself, and returns the state it is in. */
  async booted(isAlive = () => true): Promise<string> {
    return until(
      async () => {
        if (!isAlive()) throw new Error(`${this.name} stopped while booting:\n${await this.log()}`);
        if ((await this.leader()) === undefined) return undefined;
        const { stdout } = await this.exec(["systemctl", "is-system-running"], {});
        return ["running", "degraded"].find((state) => state === stdout.trim());
      },
      {
        seconds: patience,
        otherwise: async () => `${this.name} does not finish booting:\n${await this.log()}`,
      },
    );
  }

  /** Ends the host as if its plug was pulled. Does nothing when it is off. */
  async kill(): Promise<void> {
    await this.cgroup.kill();
  }

  /** Shuts the host down in good order. Does nothing when it is off. */
  async shutDown(): Promise<void> {
    if ((await this.leader()) === undefined) return;
    const { code, stderr } = await this.exec(["systemctl", "poweroff"], {});
    // Above 128: the end was quicker.
    if (code !== 0 && code < 128) throw new Error(`${this.name} does not shut down: ${stderr}`);
    await until(async () => !(await this.cgroup.isPopulated()), {
      seconds: patience,
      otherwise: async () => `${this.name} does not shut down:\n${await this.log()}`,
    });
    await this.kill();
  }

  /** Ends the host and deletes all that it is made of. */
  async remove(): Promise<void> {
    await this.kill();
    await execa("rm", ["-rf", "--one-file-system", "--", this.folder]);
  }

  /** Reboots the host in good order, and waits until it has booted. */
  async reboot(): Promise<void> {
    const before = await this.leader();
    const { code, stderr } = await this.exec(["systemctl", "reboot"], {});
    // Above 128: the reboot was quicker.
    if (code !== 0 && code < 128) throw new Error(`${this.name} does not reboot: ${stderr}`);
    await until(
      async () => {
        const now = await this.leader();
        return now !== undefined && now !== before;
      },
      { seconds: patience, otherwise: `${this.name} does not come back from its reboot` },
    );
    await this.booted();
  }

  /** The process id, on this computer, of the host's first process; undefined when it is off. */
  async leader(): Promise<number | undefined> {
    const supervisors = await this.cgroup.processes("machine/supervisor");
    for (const pid of await this.cgroup.processes(initScope)) {
      const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "");
      const parent = Number(/^PPid:\s*(\d+)$/m.exec(status)?.[1]);
      if (supervisors.includes(parent) && (await this.network.holds(this.name, pid))) return pid;
    }
    return undefined;
  }

  /** The command line, on this computer, that runs `argv` on the host as root, past its network. */
  async command(argv: readonly string[]): Promise<[string, ...string[]]> {
    const leader = await this.leader();
    if (leader === undefined) throw new Error(`${this.name} is off: power it on first`);
    const { TERM } = process.env;
    const login = [...environment, ...(TERM === undefined ? [] : [`TERM=${TERM}`])];
    return [
      // In the host's own control group, so that it ends with the host.
      ...joining(join(this.cgroup.path, initScope)),
      ...["nsenter", "--all", "--root", "--wd", `--target=${leader}`, "--"],
      ...["/usr/bin/env", "-i", ...login],
      ...["/bin/sh", "-c", '. /etc/profile.d/nixos.sh && cd && exec "$@"', "sh", ...argv],
    ] as [string, ...string[]];
  }

  async exec(argv: readonly string[], options: { stdin?: string | Uint8Array }): Promise<Outcome> {
    return outcome(await this.command(argv), options);
  }

  /** Activates the host's NixOS configuration, once in its life, as its owner would have. */
  async firstSwitch(report: Report): Promise<void> {
    if (existsSync(join(this.folder, "switched"))) return;
    report(`${this.name}: nixos-rebuild switch`);
    const { code, stdout, stderr } = await this.exec(["nixos-rebuild", "switch"], {});
    if (code !== 0) throw new Error(`${this.name}: nixos-rebuild failed:\n${stdout}${stderr}`);
    await this.mark("switched", "");
  }

  private withRoot(baseTree: string, argv: string[]): string[] {
    const unshare = ["unshare", "--mount", "--propagation=slave", "--"];
    return [...unshare, "sh", script("with-root.sh"), baseTree, this.folder, ...argv];
  }

  // Renamed into place: after a crash a step is done or it is not.
  private async mark(step: "made" | "switched", content: string): Promise<void> {
    const file = join(this.folder, step);
    await writeFile(`${file}.new`, content);
    await rename(`${file}.new`, file);
  }

  private async log(): Promise<string> {
    const text = await readFile(this.console, "utf8").catch(() => "");
    return text.split("\n").slice(-30).join("\n");
  }
}

/** As systemd-nspawn reads a path before a colon. */
const quoted = (path: string) => path.replace(/[\\:]/g, "\\$&");

// Where systemd puts itself within what systemd-nspawn gives it.
const initScope = "machine/payload/init.scope";

/** The base tree that the host in `folder` was made from; undefined if it is not or only half made. */
export async function madeFrom(folder: string): Promise<string | undefined> {
  const mark = join(folder, "made");
  return existsSync(mark) ? readFile(mark, "utf8") : undefined;
}
