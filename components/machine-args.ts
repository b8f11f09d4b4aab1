import type * as pulumi from "@pulumi/pulumi";
import type { Drift } from "../machine/drift.ts";
import type { ConnectionArgs } from "./connection.ts";

/** What a component has to know of its machine, whatever the machine does. */
export interface MachineArgs {
  /** How the operator reaches the machine. */
  connection: ConnectionArgs;
  /**
   * What `nixos-rebuild` builds on the machine: its flake or its channels, and of a flake which entry of
   * `nixosConfigurations`.
   * @default the flake in /etc/nixos if there is one, and the entry of the machine's host name
   */
  rebuild?:
    | {
        from?: pulumi.Input<"flake" | "channel"> | undefined;
        attribute?: pulumi.Input<string> | undefined;
      }
    | undefined;
  /** Seconds in which a rebuilt machine has to be reached again; otherwise it goes back. @default 60 */
  confirmWithin?: pulumi.Input<number> | undefined;
  /** Refuse a rebuild that would change more on the machine than the cache. @default false */
  onlyOurs?: pulumi.Input<boolean> | undefined;
  /**
   * What is not as it was left on the machine; those steps are taken again. See `observeAll` and `driftOf`.
   * @default nothing
   */
  drift?: Drift | undefined;
  /** In a preview, ask the machine what a rebuild would change, and show it. @default false */
  plan?: boolean | undefined;
}
