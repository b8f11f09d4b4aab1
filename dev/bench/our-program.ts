import type { Lab } from "../lab/lab.ts";
import { LabStack } from "../lab/stack.ts";
import type { Toolchain } from "../tools/toolchain.ts";
import type { Renewal, Tool } from "./tool.ts";

/** How much a stack keeps. */
export interface StackSize {
  resources: number;
  /** Length of what `pulumi stack export` prints. */
  bytes: number;
}

/** This checkout's program on the lab's stack. */
export class OurProgram implements Tool {
  readonly name = "ours";
  readonly #lab: Lab;
  readonly #stack: LabStack;
  #renewals = 0;

  constructor(lab: Lab, toolchain: Toolchain) {
    this.#lab = lab;
    this.#stack = new LabStack(lab, toolchain);
  }

  init(): Promise<void> {
    return this.#stack.init();
  }

  async renew(which: Renewal): Promise<void> {
    const [server, ...clients] = this.#lab.hosts;
    const settings = {
      SSH: clients.map((client) => `clients.${client}.rotation`),
      signing: [`servers.${server}.rotation`],
      all: ["rotation"],
    }[which];
    this.#renewals++;
    const values = settings.flatMap((setting) => [
      "--plaintext",
      `nixos-cache:${setting}=bench ${this.#renewals}`,
    ]);
    await this.#stack.run(["config", "set-all", "--path", ...values]);
  }

  async deploy(): Promise<void> {
    await this.#stack.run(["up", "--yes", "--skip-preview"]);
  }

  async destroy(): Promise<void> {
    await this.#stack.run(["destroy", "--yes", "--skip-preview"]);
  }

  async size(): Promise<StackSize> {
    const { stdout } = await this.#stack.run(["stack", "export"]);
    const { deployment }: { deployment: { resources: unknown[] } } = JSON.parse(stdout);
    return { resources: deployment.resources.length, bytes: Buffer.byteLength(stdout) };
  }
}
