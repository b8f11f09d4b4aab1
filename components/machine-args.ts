import type * as pulumi from "@pulumi/pulumi";
import type { Drift } from "../machine/drift.ts";
import type { MachineOptions } from "../machine/options.ts";
import type { ConnectionArgs } from "./connection.ts";

/** Every scalar of `T` may be an Output. */
type Inputs<T> = {
  [Key in keyof T]: NonNullable<T[Key]> extends object
    ? Inputs<NonNullable<T[Key]>> | Extract<T[Key], undefined>
    : pulumi.Input<NonNullable<T[Key]>> | Extract<T[Key], undefined>;
};

/** What a component has to know of its machine, whatever the machine does. */
export interface MachineArgs extends Inputs<MachineOptions> {
  /** How the operator reaches the machine. */
  connection: ConnectionArgs;
  /**
   * What is not as it was left on the machine; those steps are taken again. See `observeAll` and `driftOf`.
   * @default nothing
   */
  drift?: Drift | undefined;
  /**
   * The machine did not answer when it was looked at: a step gives up dialling after half a minute, and not only when a
   * machine that was rebuilt must have gone back.
   * @default false
   */
  silent?: boolean | undefined;
  /**
   * Before its first step an update asks the machine once more, and without an answer all of them fail. For machines that are
   * `silent`, since the plugin waits without end for whoever accepts a connection and says nothing. See `canHaveToAnswer`.
   * @default false
   */
  hasToAnswer?: boolean | undefined;
  /** In a preview, ask the machine what a rebuild would change, and show it. @default false */
  plan?: boolean | undefined;
}
