import type { Lab } from "../lab/lab.ts";

/** Keeps the hosts of a lab equal for each tool that is tried on them. */
export class HostsAsBefore {
  readonly #lab: Lab;
  #systems: string[] = [];

  constructor(lab: Lab) {
    this.#lab = lab;
  }

  /** Notes how the hosts are. */
  async note(): Promise<void> {
    this.#systems = await this.#onAll(currentSystem);
    await this.#collectGarbage();
  }

  /**
   * Deletes what a tool has left in the hosts' stores; the next one would find it built.
   * @throws when a host does not run the system that it had
   */
  async restore(tool: string): Promise<void> {
    const now = await this.#onAll(currentSystem);
    const other = this.#lab.hosts.filter((_, i) => now[i] !== this.#systems[i]);
    if (other.length > 0) {
      throw new Error(`${tool}: not as before after a destroy: ${other.join(", ")}`);
    }
    await this.#collectGarbage();
  }

  /** Makes each evaluation on the hosts take so much longer. */
  async slowDown(seconds: number): Promise<void> {
    await this.#onAll(
      seconds === 0
        ? "rm -f /etc/lab-evaluation-seconds"
        : `echo ${seconds} > /etc/lab-evaluation-seconds`,
    );
  }

  async #collectGarbage(): Promise<void> {
    const profile = "/nix/var/nix/profiles/system";
    await this.#onAll(
      `nix-env --profile ${profile} --delete-generations old && nix-store --gc --quiet`,
    );
  }

  /** Runs a shell text on each host. @returns what each printed */
  #onAll(script: string): Promise<string[]> {
    return Promise.all(
      this.#lab.hosts.map(async (host) => {
        const { code, stdout, stderr } = await this.#lab.exec(host, ["sh", "-c", script]);
        if (code !== 0) throw new Error(`${host}: ${script} failed:\n${stderr}`);
        return stdout.trim();
      }),
    );
  }
}

const currentSystem = "readlink -f /run/current-system";
