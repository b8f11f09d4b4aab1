import * as pulumi from "@pulumi/pulumi";
import type { MachineOptions } from "../machine/options.ts";
import { planFor } from "../machine/plan.ts";
import { sshLogin } from "../machine/ssh-login.ts";
import type { ConnectionArgs } from "./connection.ts";
import { whenKnown } from "./when-known.ts";

/**
 * In a preview, shows on a component what a rebuild of its machine would change. A machine that cannot say so is
 * a warning, never a failure.
 * @param name the machine's, which `preview --diff` does not show beside the words
 * @param settings the text that would be written; while it is not known, the plan is of the files as they are
 */
export function showPlan(
  name: string,
  connection: ConnectionArgs,
  options: pulumi.Output<MachineOptions>,
  role: "server" | "client",
  settings: pulumi.Output<string>,
  on: pulumi.Resource,
): void {
  if (!pulumi.runtime.isDryRun()) return;
  // The engine would otherwise end the preview before the answer.
  const done = pulumi.runtime.rpcKeepAlive();
  const title = `plan for ${name} (${role})`;
  const machine = pulumi.output({ connection, options });
  Promise.all([whenKnown(machine), whenKnown(settings)])
    .then(async ([machine, settings]) => {
      if (machine === undefined) return;
      // It may take as long as a build.
      await pulumi.log.info("asking for a plan", on, undefined, true);
      const lines = await planFor(
        { ...machine, role, settings: settings ?? "" },
        sshLogin(machine.connection),
      );
      const without = settings === undefined ? ", without settings that are not known yet" : "";
      // Marked as the machine's words: no line of them passes for one of the engine's.
      await pulumi.log.info(`${title}${without}: ${lines.join("\n| ")}`, on);
    })
    .catch((error: Error) => {
      const lines = error.message.split("\n");
      return pulumi.log.warn(`no ${title}: ${lines.join("\n| ")}`, on);
    })
    .finally(done);
}
