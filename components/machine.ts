import { remote, type types } from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import { agentPath, agentScript, installAgent, removeAgent } from "../machine/agent.ts";
import { type ConnectionArgs, commandConnection } from "./connection.ts";

/** One call of the helper on a machine, and the one that undoes it (see machine/agent.sh). */
export interface Step {
  /** The helper's words, for a new step and for a changed one. */
  run: pulumi.Input<string>;
  /** The helper's words when the step is taken away; run with the old `stdin`. */
  undo: pulumi.Input<string>;
  /** Text for the helper. The only way for a secret. */
  stdin?: pulumi.Input<string>;
  /** A change of it replaces the step: the new one runs first, the old one is undone at the end of the update. */
  replaceOn?: pulumi.Input<string>;
  /** What comes before this step, besides the helper itself. */
  after?: pulumi.Resource[];
}

/** A machine with our helper on it: the one way in which components act on it. */
export class Machine {
  readonly agent: remote.Command;
  readonly #connection: types.input.remote.ConnectionArgs;
  readonly #parent: pulumi.Resource;
  readonly #opts: pulumi.CustomResourceOptions;

  /**
   * Puts the helper on the machine, as the resource `<name>-agent`.
   * @param abandoned the machine is not contacted any more, neither to change it nor to clean up
   */
  constructor(
    name: string,
    connection: ConnectionArgs,
    parent: pulumi.Resource,
    { abandoned = false } = {},
  ) {
    this.#connection = commandConnection(connection);
    this.#parent = parent;
    this.#opts = abandoned ? { retainOnDelete: true, ignoreChanges: ["*"] } : {};
    this.agent = new remote.Command(
      `${name}-agent`,
      {
        connection: this.#connection,
        create: installAgent,
        update: installAgent,
        delete: removeAgent,
        stdin: agentScript,
        addPreviousOutputInEnv: false,
      },
      { ...this.#opts, parent },
    );
  }

  /** Declares a step on this machine, as a child of `parent`, by default of the machine's own component. */
  step(name: string, step: Step, parent = this.#parent): remote.Command {
    const run = pulumi.interpolate`${agentPath} ${step.run}`;
    return new remote.Command(
      name,
      {
        connection: this.#connection,
        create: run,
        update: run,
        delete: pulumi.interpolate`${agentPath} ${step.undo}`,
        ...(step.stdin !== undefined && { stdin: step.stdin }),
        ...(step.replaceOn !== undefined && { triggers: [step.replaceOn] }),
        addPreviousOutputInEnv: false,
      },
      { ...this.#opts, parent, dependsOn: [this.agent, ...(step.after ?? [])] },
    );
  }
}
