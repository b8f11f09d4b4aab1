import { mkdir, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Lab } from "../../lab/lab.ts";
import { outcome } from "../../lab/outcome.ts";
import type { Renewal, Tool } from "../tool.ts";
import { HandMadeKeys } from "./hand-made-keys.ts";

const playbooks = join(import.meta.dirname, "ansible");

/** The playbooks in `ansible/`. */
export class Ansible implements Tool {
  readonly name = "Ansible";
  readonly #lab: Lab;
  readonly #command: readonly string[];
  readonly #folder: string;
  readonly #inventory: string;
  /** Where the sockets of its connections are. */
  readonly #connections: string;
  readonly #keys: HandMadeKeys;

  /** @param command what to put before a playbook and its options */
  constructor(lab: Lab, command: readonly string[]) {
    this.#lab = lab;
    this.#command = command;
    this.#folder = join(lab.folder, "ansible");
    this.#inventory = join(this.#folder, "hosts.json");
    this.#connections = join(this.#folder, "cp");
    this.#keys = new HandMadeKeys(join(this.#folder, "keys"), lab.hosts);
  }

  async init(): Promise<void> {
    await mkdir(this.#folder, { recursive: true });
    const [server = "", ...clients] = this.#lab.hosts;
    const variables = async (host: string) => ({
      ansible_host: this.#lab.address(host),
      host_key: await this.#lab.hostKey(host),
    });
    const group = async (hosts: string[]) => ({
      hosts: Object.fromEntries(
        await Promise.all(hosts.map(async (host) => [host, await variables(host)] as const)),
      ),
    });
    const all = {
      children: { server: await group([server]), clients: await group(clients) },
      vars: {
        ansible_user: "root",
        ansible_ssh_private_key_file: this.#lab.operatorKeyFile,
        ansible_ssh_common_args: `-F none -o UserKnownHostsFile=${this.#lab.knownHostsFile}`,
        // Debian's. On NixOS somebody who uses Ansible adds python3 to environment.systemPackages.
        ansible_python_interpreter: "/usr/bin/python3",
        cache: server,
        keys: this.#keys.folder,
      },
    };
    await writeFile(this.#inventory, JSON.stringify({ all }));
    await this.#keys.renew("all");
  }

  renew(which: Renewal): Promise<void> {
    return this.#keys.renew(which);
  }

  deploy(): Promise<void> {
    return this.#play("set-up.yml");
  }

  destroy(): Promise<void> {
    return this.#play("take-away.yml");
  }

  /**
   * Ends the connections that Ansible keeps open for a minute: between two deployments of a real home there are days,
   * and each begins with logins.
   */
  async rest(): Promise<void> {
    for (const name of await readdir(this.#connections).catch(() => [])) {
      const socket = join(this.#connections, name);
      await outcome(["ssh", "-F", "none", "-o", `ControlPath=${socket}`, "-O", "exit", "any"]);
      await rm(socket, { force: true });
    }
  }

  async #play(playbook: string): Promise<void> {
    const argv = [...this.#command, "--inventory", this.#inventory, join(playbooks, playbook)];
    const { code, stdout, stderr } = await outcome([...this.#lab.enter, ...argv], {
      cwd: this.#folder,
      env: {
        ANSIBLE_CONFIG: join(playbooks, "ansible.cfg"),
        ANSIBLE_HOME: join(this.#folder, "home"),
        ANSIBLE_SSH_CONTROL_PATH_DIR: this.#connections,
        // All clients at once; ansible.cfg has 10.
        ANSIBLE_FORKS: String(Math.max(10, this.#lab.hosts.length - 1)),
        LC_ALL: "C.UTF-8",
      },
    });
    if (code !== 0) throw new Error(`Ansible: ${playbook} failed.\n${stdout}${stderr}`);
  }
}
