import { delimiter, join } from "node:path";
import { checkout } from "./checkout.ts";
import { provisionCommandPlugin } from "./command-plugin.ts";
import { provisionPulumi } from "./pulumi.ts";
import type { Report } from "./report.ts";

/** Everything that `pulumi` needs to run this project. */
export interface Toolchain {
  /** Variables to add to the environment of `pulumi`: PATH and Pulumi's own. */
  env: Record<string, string>;
  commandPlugin: "official" | "stand-in";
  /** Version of the Pulumi CLI in use. */
  pulumiVersion: string;
}

/**
 * Finds, downloads or builds the Pulumi CLI, its Node.js language host and the `command` plugin.
 *
 * @throws ProvisioningError saying what to install
 */
export async function toolchain(report: Report): Promise<Toolchain> {
  const pulumi = await provisionPulumi(report);
  const plugin = await provisionCommandPlugin(pulumi.bin, report);
  const path = [join(checkout, "node_modules", ".bin"), pulumi.bin, process.env.PATH ?? ""];
  return {
    env: {
      PATH: path.filter((folder) => folder !== "").join(delimiter),
      PULUMI_SKIP_UPDATE_CHECK: "true",
      ...(plugin.home ? { PULUMI_HOME: plugin.home } : {}),
    },
    commandPlugin: plugin.kind,
    pulumiVersion: pulumi.version,
  };
}
