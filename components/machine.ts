import { remote } from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import {
  agentPath,
  agentScript,
  installAgent,
  machineDefaults,
  packed,
  removeAgent,
} from "../machine/agent.ts";
import { asRoot } from "../machine/as-root.ts";
import { type Drift, noDrift, type Part } from "../machine/drift.ts";
import { plainWords } from "../machine/plain-words.ts";
import { commandConnection, dialsFor } from "./connection.ts";
import type { MachineArgs } from "./machine-args.ts";
import { showPlan } from "./plan.ts";

/** One call of the helper on a machine, and the one that undoes it (see machine/agent.sh). */
export interface Step {
  /** The helper's words, for a new step and for a changed one. */
  run: pulumi.Input<string>;
  /** The helper's words when the step is taken away; run with the old `stdin`. */
  undo?: pulumi.Input<string>;
  /** Text for the helper. The only way for a secret. */
  stdin?: pulumi.Input<string>;
  /** A change of it replaces the step: the new one runs first, the old one is undone at the end of the update. */
  replaceOn?: pulumi.Input<string>;
  /** What comes before this step, besides the helper itself. */
  after?: pulumi.Resource[];
  /** What it is taken again for, once that has drifted. @default only when everything has */
  part?: Part;
  /** How often the machine is dialled again before the step fails. @default as in `commandConnection` */
  dialErrorLimit?: pulumi.Input<number>;
}

/** A machine with our helper on it: the one way in which components act on it. */
export class Machine {
  readonly agent: remote.Command;
  readonly #name: string;
  readonly #args: MachineArgs;
  readonly #parent: pulumi.Resource;
  readonly #abandoned: boolean;
  readonly #drift: Drift;

  /**
   * Puts the helper on the machine, as the resource `<name>-agent`.
   * @param abandoned the machine is not contacted any more, neither to change it nor to clean up
   */
  constructor(
    name: string,
    args: MachineArgs,
    parent: pulumi.Resource,
    { abandoned = false } = {},
  ) {
    this.#name = name;
    this.#args = args;
    this.#parent = parent;
    this.#abandoned = abandoned;
    this.#drift = args.drift ?? noDrift;
    const { rebuild, confirmWithin, onlyOurs } = args;
    const script = pulumi.output({ rebuild, confirmWithin, onlyOurs }).apply(agentScript);
    this.agent = this.#command(
      `${name}-agent`,
      {
        run: script.apply(installAgent),
        undo: removeAgent,
        stdin: script.apply(packed),
        part: "agent",
      },
      { parent },
    );
  }

  /** Declares a step on this machine, as a child of `parent`, by default of the machine's own component. */
  step(name: string, step: Step, parent = this.#parent): remote.Command {
    const call = (words: pulumi.Input<string>) => pulumi.interpolate`${agentPath} ${words}`;
    return this.#command(
      name,
      { ...step, run: call(step.run), ...(step.undo !== undefined && { undo: call(step.undo) }) },
      { parent, dependsOn: [this.agent, ...(step.after ?? [])] },
    );
  }

  /**
   * Declares the two steps that make a machine a server or a client: the first writes its settings and rebuilds,
   * which the machine takes back unless the second confirms it over a new connection.
   * @returns what to wait for
   */
  settle(
    role: "server" | "client",
    settings: pulumi.Input<string>,
    after: pulumi.Resource[],
  ): pulumi.Resource {
    const part: Part = `settings ${role}`;
    const written = this.step(`${this.#name}-settings`, {
      run: `settings ${role}`,
      undo: `remove-settings ${role}`,
      stdin: settings,
      after,
      part,
    });
    // Nothing is there to confirm, and without a `delete` the step leaves the state on its own.
    if (this.#abandoned) return written;
    if (this.#args.plan)
      showPlan(this.#name, this.#args, role, pulumi.output(settings), this.#parent);
    return this.step(`${this.#name}-confirm`, {
      run: `confirm ${role}`,
      stdin: settings,
      after: [written],
      part,
      // Until the machine has gone back, if it cannot be reached before: then it tells what happened.
      dialErrorLimit: pulumi
        .output(this.#args.confirmWithin)
        .apply((seconds = machineDefaults.confirmWithin) => dialsFor(seconds + 20)),
    });
  }

  #command(
    name: string,
    { run, undo, stdin, replaceOn, part, dialErrorLimit }: Step,
    opts: pulumi.CustomResourceOptions,
  ): remote.Command {
    const { user } = this.#args.connection;
    const rooted = (command: pulumi.Input<string>) =>
      pulumi.all([command, user]).apply(([command, user]) => asRoot(command, user));
    const reason = this.#drift.get(part ?? "everything") ?? this.#drift.get("everything");
    const update = rooted(run);
    return new remote.Command(
      name,
      {
        connection: commandConnection(this.#args.connection, dialErrorLimit),
        create: reason === undefined ? update : pulumi.interpolate`${update}${because(reason)}`,
        update,
        ...(undo !== undefined && { delete: rooted(undo) }),
        ...(stdin !== undefined && { stdin }),
        ...(replaceOn !== undefined && { triggers: [replaceOn] }),
        addPreviousOutputInEnv: false,
      },
      { ...opts, ...this.#options(reason) },
    );
  }

  /**
   * Drift reaches the engine as a change of `create`, which makes it run `update`. Without drift a change of
   * `create` is none, so a machine that is as it should be shows no change, also right after a repair. A step that
   * is made anew takes the new `create` all the same. (`update` would not do for this: ignored, it would stay what
   * it was at the last drift, while the helper, the user or the steps' words change.)
   */
  #options(reason: string | undefined): pulumi.CustomResourceOptions {
    if (this.#abandoned) return { retainOnDelete: true, ignoreChanges: ["*"] };
    return reason === undefined ? { ignoreChanges: ["create"] } : {};
  }
}

/** Two more words of a command, which it ignores: they are for the person who reads the preview. */
function because(reason: string): string {
  return ` --because '${plainWords(reason, 400)}'`;
}
