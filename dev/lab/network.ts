import { readdirSync, readlinkSync, statfsSync } from "node:fs";
import { mkdir, readdir, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { until } from "./until.ts";

/** The operator's network namespace, and the bridge in it: no host can have this name. */
export const operator = "operator";

const nsfs = 0x6e736673;

/**
 * The lab's own network: a namespace for the operator, with a bridge in it, one for each host, and a
 * cable (a veth pair) from each host's `eth0` to a port of the bridge that is named after the host.
 * The namespaces are mounted on files of `folder`; nothing of it is in the computer's own network.
 *
 * Addresses are from TEST-NET-1 (RFC 5737) and 2001:db8::/32 (RFC 3849), which no real network uses. Two labs have the
 * same ones and never meet.
 */
export class Network {
  private readonly folder: string;
  private readonly hosts: readonly string[];

  constructor(folder: string, hosts: readonly string[]) {
    this.folder = folder;
    this.hosts = hosts;
  }

  /** The file that the namespace of `owner`, a host or the operator, is mounted on. */
  namespace(owner: string): string {
    return join(this.folder, owner);
  }

  address(host: string): string {
    return `192.0.2.${11 + this.hosts.indexOf(host)}`;
  }

  /** Its IPv6 address. */
  address6(host: string): string {
    return `2001:db8::${(11 + this.hosts.indexOf(host)).toString(16)}`;
  }

  /** What to put before a command so that it runs in the operator's or a host's network. */
  enter(owner: string): string[] {
    return ["nsenter", `--net=${this.namespace(owner)}`, "--"];
  }

  /** Makes what is missing, and connects all hosts. */
  async up(): Promise<void> {
    await mkdir(this.folder, { recursive: true });
    await this.ensureNamespace(operator);
    if (!(await this.link(operator, operator)))
      await this.ip(operator, `link add ${operator} type bridge`);
    await this.ip(
      operator,
      `addr replace 192.0.2.1/24 dev ${operator}`,
      `addr replace 2001:db8::1/64 dev ${operator} nodad`,
      `link set ${operator} up`,
    );
    for (const host of this.hosts) {
      await this.ensureNamespace(host);
      await this.ensureCable(host);
    }
  }

  /** Ends whatever still runs in the network, and takes it away. */
  async down(): Promise<void> {
    for (const owner of await readdir(this.folder).catch(() => [])) {
      const file = this.namespace(owner);
      if (!isNamespace(file)) continue;
      await until(
        async () => {
          const pids = await this.processes(owner);
          for (const pid of pids) end(pid);
          return pids.length === 0;
        },
        { seconds: 30, otherwise: `the processes in the network of ${owner} do not end` },
      );
      // Lazily: a process that is ending can still have the file open.
      await execa("umount", ["--lazy", file]);
    }
    await rm(this.folder, { recursive: true, force: true });
  }

  /** Whether the network of the operator and of all hosts is there; a reboot takes it away. */
  isUp(): boolean {
    return [operator, ...this.hosts].every((owner) => isNamespace(this.namespace(owner)));
  }

  /** Whether the process is in the host's namespace, and not in one of the same name before it. */
  async holds(host: string, pid: number): Promise<boolean> {
    if (!isNamespace(this.namespace(host))) return false;
    return namespaceOf(pid) === (await this.inode(host));
  }

  /** Plugs the bridge's end of the cable in or pulls it out. */
  async plug(host: string, state: "up" | "down"): Promise<void> {
    await this.ip(operator, `link set ${host} ${state}`);
  }

  /** Gives the host's own end of the cable power or takes it away: a host that is off is silent. */
  async power(host: string, state: "up" | "down"): Promise<void> {
    await this.ip(host, `link set eth0 ${state}`);
    // Which it has lost meanwhile.
    if (state === "up") await this.ip(host, this.ensureAddress6(host));
  }

  async isPlugged(host: string): Promise<boolean> {
    if (!isNamespace(this.namespace(operator))) return false;
    return (await this.link(operator, host))?.flags.includes("UP") ?? false;
  }

  private async ensureNamespace(owner: string): Promise<void> {
    const file = this.namespace(owner);
    if (!isNamespace(file)) {
      await writeFile(file, "");
      await execa("unshare", [`--net=${file}`, "true"]);
    }
    await this.ip(owner, "link set lo up");
  }

  private async ensureCable(host: string): Promise<void> {
    const address = this.address(host);
    const [port, eth0] = [await this.link(operator, host), await this.link(host, "eth0")];
    if (port === undefined || eth0 === undefined) {
      if (port !== undefined) await this.ip(operator, `link del ${host}`);
      if (eth0 !== undefined) await this.ip(host, "link del eth0");
      // The same hardware address each time, or the others would go on calling the old one.
      const mac = `02:00:${address.split(".").map(hexByte).join(":")}`;
      // By argument, not in a batch: the file's name may hold anything.
      const peer = ["peer", "name", "eth0", "address", mac, "netns", this.namespace(host)];
      await this.run(operator, ["ip", "link", "add", host, "type", "veth", ...peer]);
    }
    await this.ip(
      host,
      `addr replace ${address}/24 dev eth0`,
      this.ensureAddress6(host),
      "link set eth0 up",
    );
    await this.ip(operator, `link set ${host} master ${operator} up`);
  }

  private ensureAddress6(host: string): string {
    return `addr replace ${this.address6(host)}/64 dev eth0 nodad`;
  }

  private async link(owner: string, name: string): Promise<{ flags: string[] } | undefined> {
    const { stdout } = await this.run(owner, ["ip", "-json", "link", "show"]);
    const links = JSON.parse(stdout) as { ifname: string; flags: string[] }[];
    return links.find(({ ifname }) => ifname === name);
  }

  private async ip(owner: string, ...commands: string[]): Promise<void> {
    const [command = "", ...args] = [...this.enter(owner), "ip", "-batch", "-"];
    await execa(command, args, { input: commands.join("\n") });
  }

  private run(owner: string, argv: string[]) {
    const [command = "", ...args] = [...this.enter(owner), ...argv];
    return execa(command, args);
  }

  private async inode(owner: string): Promise<number> {
    return (await stat(this.namespace(owner))).ino;
  }

  /** All processes of the computer that are in the namespace, this one and its ancestors excepted. */
  private async processes(owner: string): Promise<number[]> {
    const inode = await this.inode(owner);
    if (namespaceOf(process.pid) === inode)
      throw new Error("this command runs inside the lab's network: run it outside");
    return readdirSync("/proc")
      .filter((name) => /^\d+$/.test(name))
      .map(Number)
      .filter((pid) => namespaceOf(pid) === inode);
  }
}

function end(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

function isNamespace(file: string): boolean {
  try {
    return statfsSync(file).type === nsfs;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return false;
    throw error;
  }
}

/** @returns the inode of the process's network namespace; undefined when the process is no more, or
 * has more privileges than we have, which nothing in a lab can. */
function namespaceOf(pid: number): number | undefined {
  try {
    return Number(/^net:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/ns/net`))?.[1]);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === "ENOENT" || code === "ESRCH" || code === "EACCES") return undefined;
    throw error;
  }
}

function hexByte(decimal: string): string {
  return Number(decimal).toString(16).padStart(2, "0");
}
