import "./no-debug-messages.ts";
import "./no-stack-traces.ts";
import { remote } from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import { type Drift, noDrift, type Part } from "../machine/drift.ts";
import {
  callHelper,
  callHelperToUndo,
  helperChecksums,
  helperFolder,
  helperFolders,
  moduleVersion,
} from "../machine/helper.ts";
import {
  defaultOptions,
  type MachineOptions,
  optionWords,
  reasonWords,
} from "../machine/options.ts";
import { quoted } from "../machine/quoted.ts";
import { shellWord } from "../machine/shell-word.ts";
import { commandConnection, dialsFor } from "./connection.ts";
import { hasToAnswer } from "./has-to-answer.ts";
import type { MachineArgs } from "./machine-args.ts";
import { ownerOf, ownerOfOther } from "./owner.ts";
import { showPlan } from "./plan.ts";
import { isTaken, type TakenSteps } from "./taken-steps.ts";

/** A step; none where it is left for later. */
export type Declared = remote.Command | undefined;

/** One call of the helper on a machine, and the one that undoes it (see machine/helper/main.sh). */
export interface Step {
  /** The helper's words, for a new step and for a changed one. */
  run: pulumi.Input<string>;
  /** The helper's words when the step is taken away; run with the old `stdin`. */
  undo: pulumi.Input<string>;
  /** Text for the helper. The only way for a secret. */
  stdin: pulumi.Input<string>;
  /** What comes before this step, besides the helper itself. */
  after?: Declared[];
  /** What it is taken again for, once that has drifted. */
  part: Part;
  /** The component whose step it is. @default the machine's own */
  of?: pulumi.ComponentResource;
  /** The client of another stack that it is about, which has no component here. */
  about?: string;
  /** It waits for another machine, which is left alone now. */
  left?: Left | undefined;
}

/** How a machine is left alone that cannot be contacted: its steps stay as they are in the state. */
export interface Left {
  /** Nothing is cleaned up on it either, when its steps are taken away. */
  forGood: boolean;
  /** The steps that are in the state; others are not declared, for the engine would take them. @default all */
  taken?: TakenSteps | undefined;
}

/** What the steps that make a machine a server or a client have in common. */
export interface RoleSteps {
  role: "server" | "client";
  /** The settings, one line of JSON. */
  settings: pulumi.Output<string>;
  /** Of a server that is also a client: the settings of that role, another line, for one rebuild to do both. */
  clientToo?: pulumi.Output<string> | undefined;
  /** What comes before the machine is rebuilt. */
  after?: Declared[];
  /** The step that brings the role's keys: it also confirms the rebuild. The helper gets the settings, then these. */
  keys: {
    name: "signing" | "identity";
    /** A word for the helper, as in `signing NAME`; a change of it replaces the step. */
    word?: pulumi.Input<string>;
    stdin: pulumi.Input<string>;
    after?: Declared[];
  };
}

/** A machine with our helper on it: the one way in which components act on it. */
export class Machine {
  readonly #name: string;
  readonly #args: MachineArgs;
  readonly #component: pulumi.ComponentResource;
  readonly #left: Left | undefined;
  readonly #drift: Drift;
  readonly #options: pulumi.Output<MachineOptions>;
  /** Before each step, where the machine has to answer first. */
  readonly #hooks: pulumi.ResourceHookBinding | undefined;
  readonly #helper: pulumi.Resource | undefined;

  /**
   * Puts the helper on the machine, as the resource `<name>-helper`.
   * @param component whose machine it is
   * @param left the machine is not contacted now
   */
  constructor(name: string, args: MachineArgs, component: pulumi.ComponentResource, left?: Left) {
    this.#name = name;
    this.#args = args;
    this.#component = component;
    this.#left = left;
    this.#drift = args.drift ?? noDrift;
    const { rebuild, confirmWithin, onlyOurs, takeOver } = args;
    this.#options = pulumi.output({ rebuild, confirmWithin, onlyOurs, takeOver });
    this.#hooks = args.hasToAnswer ? hasToAnswer(name, args.connection) : undefined;
    const reason = this.#reason("helper");
    const helper = `${name}-helper`;
    if (!isDeclared("command:remote:CopyToRemote", helper, left)) return;
    this.#helper = new remote.CopyToRemote(
      helper,
      {
        connection: commandConnection(args.connection),
        // Files by their paths: the engine keeps their hash in the state, and not the text.
        source: new pulumi.asset.AssetArchive({
          steps: new pulumi.asset.FileArchive(helperFolders.steps),
          nixos: new pulumi.asset.FileArchive(helperFolders.nixos),
          SHA256SUMS: new pulumi.asset.StringAsset(helperChecksums),
        }),
        remotePath: pulumi.output(args.connection.user).apply(helperFolder),
        ...(reason !== undefined && { triggers: [reason] }),
      },
      { parent: component, ...this.#resourceOptions(reason, "triggers", left) },
    );
  }

  /** Declares a step on this machine, as a child of its component. @returns none where it is left for later */
  step(name: string, { after = [], of = this.#component, about, ...step }: Step): Declared {
    const owner =
      about === undefined ? ownerOf(of, this.#component) : ownerOfOther(about, this.#component);
    return this.#command(name, step, of, after, owner);
  }

  /**
   * Declares the two steps that make a machine a server or a client: the first writes its settings and rebuilds,
   * which the machine takes back unless the second confirms it over a new connection, and brings the keys.
   * @returns what to wait for; none where it is left for later
   */
  role({ role, settings, clientToo, after = [], keys }: RoleSteps): Declared {
    const words = this.#options.apply(
      (options) => `--module ${moduleVersion} ${optionWords(options)}`,
    );
    const written = this.#command(
      `${this.#name}-settings`,
      {
        run: pulumi.interpolate`settings ${role} ${words}`,
        undo: pulumi.interpolate`remove-settings ${role} ${this.#options.apply(optionWords)}`,
        stdin: clientToo === undefined ? settings : pulumi.interpolate`${settings}${clientToo}`,
        part: `settings ${role}`,
      },
      this.#component,
      after,
    );
    if (this.#args.plan && this.#left === undefined) {
      showPlan(this.#name, this.#args.connection, this.#options, role, settings, this.#component);
    }
    const word =
      keys.word === undefined
        ? ""
        : pulumi.interpolate` ${pulumi.output(keys.word).apply(shellWord)}`;
    return this.#command(
      `${this.#name}-${keys.name}`,
      {
        run: pulumi.interpolate`${keys.name}${word} ${words}`,
        undo: pulumi.interpolate`remove-${keys.name}${word}`,
        stdin: pulumi.interpolate`${settings}${keys.stdin}`,
        replaceOn: keys.word,
        part: `keys ${role}`,
        also: `settings ${role}`,
        // Until the machine has gone back, if it cannot be reached before: then it tells what happened.
        dialErrorLimit: this.#options.apply(({ confirmWithin = defaultOptions.confirmWithin }) =>
          dialsFor(confirmWithin + 20),
        ),
      },
      this.#component,
      [written, ...(keys.after ?? [])],
    );
  }

  #command(
    name: string,
    {
      run,
      undo,
      stdin,
      replaceOn,
      part,
      also = part,
      dialErrorLimit,
      left = this.#left,
    }: {
      run: pulumi.Input<string>;
      undo: pulumi.Input<string>;
      stdin: pulumi.Input<string>;
      replaceOn?: pulumi.Input<string> | undefined;
      part: Part;
      also?: Part;
      dialErrorLimit?: pulumi.Input<number>;
      left?: Left | undefined;
    },
    component: pulumi.ComponentResource,
    after: Declared[],
    owner = ownerOf(component, this.#component),
  ): Declared {
    if (!isDeclared("command:remote:Command", name, left)) return undefined;
    const call = (call: typeof callHelper, words: pulumi.Input<string>) =>
      pulumi
        .all([words, owner, this.#args.connection.user])
        .apply(([words, owner, user]) => call(`${words.trimEnd()} --owner ${quoted(owner)}`, user));
    const reason = this.#reason(part) ?? this.#reason(also);
    const update = call(callHelper, run);
    return new remote.Command(
      name,
      {
        connection: commandConnection(this.#args.connection, dialErrorLimit),
        create:
          reason === undefined ? update : pulumi.interpolate`${update} ${reasonWords(reason)}`,
        update,
        delete: call(callHelperToUndo, undo),
        stdin,
        ...(replaceOn !== undefined && { triggers: [replaceOn] }),
        addPreviousOutputInEnv: false,
      },
      {
        parent: component,
        dependsOn: [this.#helper, ...after].filter((resource) => resource !== undefined),
        ...this.#resourceOptions(reason, "create", left),
      },
    );
  }

  #reason(part: Part): string | undefined {
    return this.#drift.get(part) ?? this.#drift.get("everything");
  }

  /**
   * Drift reaches the engine as a change of the input `changed`, which makes it run the step again. Without drift a
   * change of that input is none, so a machine that is as it should be shows no change, also right after a repair.
   * (Of a command it is `create`, and not `update`: ignored, that would stay what it was at the last drift, while the
   * user or the steps' words change. A step that is made anew takes the new `create` all the same.)
   */
  #resourceOptions(
    reason: string | undefined,
    changed: "create" | "triggers",
    left: Left | undefined,
  ): pulumi.CustomResourceOptions {
    // Of a command they end the dialling alone: what has begun goes on. To undo something nobody waits for a machine that
    // goes back.
    const customTimeouts = {
      delete: "30s",
      ...(this.#args.silent && { create: "30s", update: "30s" }),
    };
    if (left !== undefined) {
      const retainOnDelete = left.forGood && { retainOnDelete: true };
      return { ignoreChanges: ["*"], customTimeouts, ...retainOnDelete };
    }
    return {
      customTimeouts,
      ...(reason === undefined && { ignoreChanges: [changed] }),
      ...(this.#hooks !== undefined && { hooks: this.#hooks }),
    };
  }
}

function isDeclared(type: string, name: string, left: Left | undefined): boolean {
  return left?.taken === undefined || isTaken(left.taken, type, name);
}
