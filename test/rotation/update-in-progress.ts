import { existsSync } from "node:fs";
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { Cgroup } from "../../dev/lab/cgroup.ts";
import type { Lab } from "../../dev/lab/lab.ts";
import type { Outcome } from "../../dev/lab/outcome.ts";
import { LabStack } from "../../dev/lab/stack.ts";
import { until } from "../../dev/lab/until.ts";
import type { Toolchain } from "../../dev/tools/toolchain.ts";

/** A step of the engine: what it does with which resource, as in its event log. */
export interface EngineStep {
  op: string;
  resource: string;
}

/** Updates that can be watched, and killed with all that they have started, as a crash would. */
export class Updates {
  readonly #stack: LabStack;
  readonly #cgroup: Cgroup;
  readonly #eventLog: string;

  static async of(lab: Lab, tools: Toolchain): Promise<Updates> {
    // One of the lab's control groups by its name, so that it ends with the lab.
    const cgroup = new Cgroup(`nixcache-${lab.id}-pulumi`);
    const enter = [...(await cgroup.enter()), ...lab.enter];
    // Without it the CLI does not know --event-log.
    const env = { ...tools.env, PULUMI_DEBUG_COMMANDS: "true" };
    return new Updates(
      new LabStack(Object.create(lab, { enter: { value: enter } }) as Lab, { ...tools, env }),
      cgroup,
      join(lab.folder, "events"),
    );
  }

  private constructor(stack: LabStack, cgroup: Cgroup, eventLog: string) {
    this.#stack = stack;
    this.#cgroup = cgroup;
    this.#eventLog = eventLog;
  }

  /** Starts `pulumi up`. */
  async start(): Promise<UpdateInProgress> {
    await rm(this.#eventLog, { force: true });
    await this.#cgroup.enter();
    const up = ["up", "--yes", "--skip-preview", "--event-log", this.#eventLog];
    return new UpdateInProgress(this.#stack.attempt(up), this.#cgroup, this.#eventLog);
  }
}

export class UpdateInProgress {
  /** How it ended, by itself or not. */
  readonly outcome: Promise<Outcome>;
  readonly #cgroup: Cgroup;
  readonly #eventLog: string;
  #ended = false;

  constructor(outcome: Promise<Outcome>, cgroup: Cgroup, eventLog: string) {
    this.outcome = outcome.finally(() => {
      this.#ended = true;
    });
    this.#cgroup = cgroup;
    this.#eventLog = eventLog;
  }

  /** Waits until the engine begins this step. */
  async begins({ op, resource }: EngineStep): Promise<void> {
    await until(
      async () => {
        const over = this.#ended;
        if (await this.#hasBegun(op, resource)) return true;
        if (over) {
          const { stdout, stderr } = await this.outcome;
          throw new Error(`the update ended without ${op} ${resource}:\n${stdout}${stderr}`);
        }
        return false;
      },
      { seconds: 120, otherwise: `the update does not come to ${op} ${resource}` },
    );
  }

  /** Kills Pulumi, its language host and its plugins. */
  async kill(): Promise<void> {
    await this.#cgroup.kill();
    await this.outcome;
  }

  /** Waits until it ends by itself. Says whether it did. */
  async endsWithin(seconds: number): Promise<boolean> {
    const patience = new AbortController();
    const timeout = new Promise<false>((resolve) => {
      const timer = setTimeout(() => resolve(false), seconds * 1000);
      patience.signal.addEventListener("abort", () => clearTimeout(timer));
    });
    try {
      return await Promise.race([this.outcome.then(() => true), timeout]);
    } finally {
      patience.abort();
    }
  }

  async #hasBegun(op: string, resource: string): Promise<boolean> {
    if (!existsSync(this.#eventLog)) return false;
    const lines = (await readFile(this.#eventLog, "utf8")).split("\n");
    // The last line may be half written.
    return lines.slice(0, -1).some((line) => {
      const { metadata } = JSON.parse(line).resourcePreEvent ?? {};
      return metadata?.op === op && metadata.urn.endsWith(`::${resource}`);
    });
  }
}
