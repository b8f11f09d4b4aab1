import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, rm, rmdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Report } from "../tools/report.ts";
import { baseTrees, dropOrphans } from "./base-trees.ts";
import { Cgroup } from "./cgroup.ts";
import { Host } from "./host.ts";
import { raiseKernelLimits } from "./kernel-limits.ts";
import { makeKeyPair } from "./key-pair.ts";
import { type HostSort, type LabHost, sortsByName } from "./lab-host.ts";
import { withLock } from "./lock.ts";
import { Network, operator } from "./network.ts";
import { operatorLogsIn } from "./operator-login.ts";
import { type Outcome, outcome } from "./outcome.ts";
import { realPath } from "./real-path.ts";
import { checkComputer, meetRequirements, thisComputer } from "./requirements.ts";
import { settled } from "./settled.ts";
import { upHost } from "./up-host.ts";

/** How a host is. `cut`: it runs, and its network cable is unplugged. */
export interface HostStatus {
  host: string;
  state: "running" | "cut" | "off" | "not made";
  address: string;
}

/**
 * Throwaway hosts on this computer, in a network of their own: see docs/reference/lab.md.
 *
 * Everything that a lab is made of is in its folder, or is named after its id, which is a hash of
 * the folder's path. So labs in different folders have nothing to do with each other.
 */
export class Lab {
  /** The lab's folder, an absolute path. */
  readonly folder: string;
  /** What the lab's control groups are named after. */
  readonly id: string;
  /** Their names. */
  readonly hosts: readonly string[];
  /** What to put before a command so that it runs where the hosts' addresses can be reached. */
  readonly enter: readonly string[];
  /** The private key (OpenSSH, ed25519, mode 0600) that each host lets in: as root, and as `fay` and `zoe`, who
   * may use sudo and have the login shells fish and zsh. */
  readonly operatorKeyFile: string;
  /** The hosts' addresses with their host keys, in the format of OpenSSH's known_hosts. */
  readonly knownHostsFile: string;
  private readonly sorts: ReadonlyMap<string, HostSort>;
  private readonly network: Network;

  /** @param hosts what `up` makes, each a name or more about it. */
  constructor(
    folder = process.env.NIXOS_CACHE_LAB || join(import.meta.dirname, "..", "..", ".lab"),
    hosts: readonly (string | LabHost)[] = ["kalaw", "pai"],
  ) {
    this.sorts = sortsByName(hosts);
    this.hosts = [...this.sorts.keys()];
    this.folder = realPath(folder);
    this.id = createHash("sha256").update(this.folder).digest("hex").slice(0, 8);
    this.network = new Network(join(this.folder, "net"), this.hosts);
    this.enter = this.network.enter(operator);
    this.operatorKeyFile = join(this.folder, "operator");
    this.knownHostsFile = join(this.folder, "known_hosts");
  }

  /** Makes what is missing, repairs what a crash or a reboot has left, and returns when all hosts run,
   * are plugged in and let the operator log in. */
  async up(report: Report): Promise<void> {
    await meetRequirements(report);
    await raiseKernelLimits(report);
    await this.locked(report, async () => {
      await dropOrphans(
        this.hosts.map((name) => this.host(name)),
        this,
        report,
      );
      const suites = new Set([...this.sorts.values()].map(({ suite }) => suite));
      const trees = await baseTrees(suites, this, report);
      await makeKeyPair(this.operatorKeyFile, "operator of the lab");
      await this.network.up();
      await settled(
        [...this.sorts].map(async ([name, { kind, suite }]) => {
          const newest = trees.get(suite) as string;
          const others = this.hosts.filter((other) => other !== name);
          const operatorKeyFile = `${this.operatorKeyFile}.pub`;
          return upHost(this.host(name), { kind, newest, others, operatorKeyFile }, report);
        }),
      );
      await this.writeKnownHosts();
      await settled(this.hosts.map((name) => this.reachable(name)));
    });
  }

  /** Ends all processes of the lab and deletes all that it is made of, the stack that was tried on its
   * hosts too. Needs nothing to be whole. */
  async down(report: Report): Promise<void> {
    await this.checkComputer();
    if (!existsSync(this.folder)) return this.endHosts();
    await this.locked(report, async () => {
      await this.endHosts();
      for (const name of await readdir(join(this.folder, "hosts")).catch(() => []))
        await this.host(name).remove();
      await this.network.down();
      for (const own of [
        "operator",
        "operator.pub",
        "operator.new",
        "known_hosts",
        "hosts",
        "stack",
      ])
        await rm(join(this.folder, own), { recursive: true, force: true });
      if ((await readdir(this.folder)).length === 0) await rmdir(this.folder);
    });
  }

  /** How each host is. */
  async status(): Promise<HostStatus[]> {
    await this.checkComputer();
    return Promise.all(
      this.hosts.map(async (host) => {
        const address = this.network.address(host);
        return { host, state: await this.state(host), address };
      }),
    );
  }

  /** Runs a command on a host as root. It goes past the network, so it works on a host that is cut.
   * @param argv the command and its arguments, which no shell sees.
   * @throws when the host is off; not when the command fails. */
  async exec(
    host: string,
    argv: readonly string[],
    options: { stdin?: string | Uint8Array } = {},
  ): Promise<Outcome> {
    return outcome(await this.command(host, argv), options);
  }

  /** The command line, on this computer, that does what `exec` does. */
  async command(host: string, argv: readonly string[]): Promise<[string, ...string[]]> {
    return (await this.madeHost(host)).command(argv);
  }

  /** Takes a host off the network, as if its cable was unplugged. */
  async cut(host: string, report: Report = silent): Promise<void> {
    await this.onHost(host, report, () => this.network.plug(host, "down"));
  }

  /** Undoes `cut`. */
  async mend(host: string, report: Report = silent): Promise<void> {
    await this.onHost(host, report, () => this.network.plug(host, "up"));
  }

  /** Reboots a host in good order; returns when it has booted and, if plugged in, lets in. */
  async reboot(host: string, report: Report = silent): Promise<void> {
    await this.onHost(host, report, async (it) => {
      await it.reboot();
      if (await this.network.isPlugged(host)) await this.reachable(host);
    });
  }

  /** Shuts all hosts down in good order; `up` boots them again. */
  async shutDown(report: Report): Promise<void> {
    await this.checkComputer();
    await this.locked(report, () => settled(this.hosts.map((name) => this.host(name).shutDown())));
  }

  /** Turns a host off as if its plug was pulled. */
  async powerOff(host: string, report: Report = silent): Promise<void> {
    await this.onHost(host, report, async (it) => {
      await it.kill();
      await this.network.power(host, "down");
    });
  }

  /** Turns a host on; returns when it has booted and, if plugged in, lets in. */
  async powerOn(host: string, report: Report = silent): Promise<void> {
    await this.onHost(host, report, async (it) => {
      await this.network.power(host, "up");
      if ((await it.leader()) === undefined) await it.start();
      if (await this.network.isPlugged(host)) await this.reachable(host);
    });
  }

  address(host: string): string {
    return this.network.address(this.host(host).name);
  }

  /** Its IPv6 address. */
  address6(host: string): string {
    return this.network.address6(this.host(host).name);
  }

  /** The public half of the host's own key, `ssh-ed25519 AAAA…`. */
  async hostKey(host: string): Promise<string> {
    const line = await readFile((await this.madeHost(host)).hostKeyFile, "utf8");
    return line.split(" ").slice(0, 2).join(" ").trim();
  }

  private async writeKnownHosts(): Promise<void> {
    const line = async (host: string) => `${this.address(host)} ${await this.hostKey(host)}\n`;
    const lines = await Promise.all(this.hosts.map(line));
    await writeFile(this.knownHostsFile, lines.join(""));
  }

  private reachable(host: string): Promise<void> {
    return operatorLogsIn(this, host, this.address(host));
  }

  private async state(name: string): Promise<HostStatus["state"]> {
    const host = this.host(name);
    if ((await host.baseTree()) === undefined) return "not made";
    if ((await host.leader()) === undefined) return "off";
    return (await this.network.isPlugged(name)) ? "running" : "cut";
  }

  /** Ends hosts by their control groups, so also those whose folder somebody has deleted. */
  private async endHosts(): Promise<void> {
    await Promise.all(Cgroup.named(`nixcache-${this.id}-`).map((name) => new Cgroup(name).kill()));
  }

  private host(name: string): Host {
    return new Host(name, this, this.network);
  }

  private async madeHost(name: string): Promise<Host> {
    await this.checkComputer();
    if (!this.hosts.includes(name))
      throw new Error(`there is no host ${name}: the lab has ${this.hosts.join(" and ")}`);
    const host = this.host(name);
    if ((await host.baseTree()) === undefined)
      throw new Error(`${name} is not made yet: run "npm run lab -- up"`);
    return host;
  }

  private async onHost(
    name: string,
    report: Report,
    work: (host: Host) => Promise<void>,
  ): Promise<void> {
    const host = await this.madeHost(name);
    await this.locked(report, async () => {
      if (!this.network.isUp()) throw new Error('the lab is not up: run "npm run lab -- up"');
      await work(host);
    });
  }

  private async locked(report: Report, work: () => Promise<void>): Promise<void> {
    await mkdir(this.folder, { recursive: true });
    const waiting = "Another command is at work on this lab; waiting for it";
    await withLock(this.folder, { report, waiting }, work);
  }

  private async checkComputer(): Promise<void> {
    checkComputer(await thisComputer());
  }
}

const silent: Report = () => {};
