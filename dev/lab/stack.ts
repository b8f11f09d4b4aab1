import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { cacheFolder } from "../tools/cache-folder.ts";
import { checkout } from "../tools/checkout.ts";
import type { Toolchain } from "../tools/toolchain.ts";
import type { Lab } from "./lab.ts";
import { type Outcome, outcome } from "./outcome.ts";

export interface RunOptions {
  stdin?: string;
  /** Added to the stack's own environment. */
  env?: Record<string, string>;
  /** Whether a person sees it as it runs; its output is then not in the outcome. */
  show?: boolean;
}

/**
 * The lab's Pulumi stack: this checkout's program with the lab's hosts for settings. Backend, passphrase and
 * stack file stand in the lab's folder and go with it, for they are of no use without its hosts.
 */
export class LabStack {
  /** The folder of its `Pulumi.yaml` and `Pulumi.NAME.yaml`. */
  readonly folder: string;
  readonly #lab: Lab;
  readonly #env: Record<string, string | undefined>;
  readonly #name: string;

  /** @param name of the stack */
  constructor(lab: Lab, toolchain: Toolchain, name = "lab") {
    this.#lab = lab;
    this.#name = name;
    this.folder = join(lab.folder, "stack");
    this.#env = {
      ...toolchain.env,
      PULUMI_BACKEND_URL: `file://${join(this.folder, "state")}`,
      PULUMI_CONFIG_PASSPHRASE_FILE: join(this.folder, "passphrase"),
      // Of a stack of the caller's own, it would go before the file.
      PULUMI_CONFIG_PASSPHRASE: undefined,
      PULUMI_STACK: name,
      // One machine that fails must not hold up the others.
      PULUMI_CONTINUE_ON_ERROR: "true",
      // As many logins as sshd takes at once (sshd_config(5), MaxStartups); without it four for each processor.
      PULUMI_PARALLEL: "10",
      // A third of what a run of the program costs is to compile the SDK.
      NODE_COMPILE_CACHE: join(cacheFolder(), "node-compile"),
    };
  }

  /**
   * Makes the stack, if it is not there yet: kalaw, the lab's first host, serves, and the others fetch.
   * One that was cut off half-way is made anew; nothing was deployed with it.
   */
  async init(): Promise<void> {
    const done = join(this.folder, "initialised");
    if (!existsSync(done)) await rm(this.folder, { recursive: true, force: true });
    await mkdir(join(this.folder, "state"), { recursive: true });
    // Each time, for the checkout's own may have changed.
    await writeFile(join(this.folder, "Pulumi.yaml"), await this.#project());
    if (existsSync(done)) return;
    await writeFile(join(this.folder, `Pulumi.${this.#name}.yaml`), await this.#settings());
    await writeFile(join(this.folder, "passphrase"), randomBytes(24).toString("base64"), {
      mode: 0o600,
    });
    await this.run(["stack", "init", this.#name]);
    await this.run(["config", "set", "--secret", "nixos-cache:privateKey"], {
      stdin: await readFile(this.#lab.operatorKeyFile, "utf8"),
    });
    await writeFile(done, "");
  }

  /**
   * Runs `pulumi ARGS…` on the stack, on the lab's network.
   * @throws when it fails, with its own words
   */
  async run(args: readonly string[], options: RunOptions = {}): Promise<Outcome> {
    const outcome = await this.attempt(args, options);
    if (outcome.code !== 0) {
      throw new Error(
        `pulumi ${args.join(" ")} failed.\n${outcome.stdout}${outcome.stderr}`.trimEnd(),
      );
    }
    return outcome;
  }

  /** The same, whatever its end. */
  attempt(args: readonly string[], options: RunOptions = {}): Promise<Outcome> {
    return this.command(["pulumi", ...args], options);
  }

  /** Any command in the stack's folder and environment, on the lab's network, whatever its end. */
  command(
    argv: readonly string[],
    { stdin, env, show = false }: RunOptions = {},
  ): Promise<Outcome> {
    return outcome([...this.#lab.enter, ...argv], {
      cwd: this.folder,
      env: { ...this.#env, ...env },
      show,
      ...(stdin !== undefined && { stdin }),
    });
  }

  /** The checkout's own project file, with the program's path as seen from here. */
  async #project(): Promise<string> {
    const project = await readFile(join(checkout, "Pulumi.yaml"), "utf8");
    return project.replace(
      /^main: .*$/m,
      `main: ${relative(this.folder, join(checkout, "main.mjs"))}`,
    );
  }

  /** The stack file, as a person would write it. */
  async #settings(): Promise<string> {
    const [server = "", ...clients] = this.#lab.hosts;
    const machine = async (host: string, rest: string) => `    ${host}:
      connection:
        host: ${this.#lab.address(host)}
        user: root
        hostKey: ${await this.#lab.hostKey(host)}
      ${rest}
`;
    const [serving, ...fetching] = await Promise.all([
      machine(server, `address: ${server}`),
      ...clients.map((client) => machine(client, `servers: [${server}]`)),
    ]);
    return `config:
  nixos-cache:rotation: "1"
  nixos-cache:servers:
${serving}  nixos-cache:clients:
${fetching.join("")}`;
  }
}
