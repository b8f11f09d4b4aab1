import type { MachineOptions } from "../machine/options.ts";
import type { StackConfig } from "./stack-config.ts";

/** What the settings say of a machine, whatever it does. */
export type MachineSettings = MachineOptions & Pick<StackConfig["servers"][string], "connection">;

/** The machines that may be contacted, by name: each once, though it may serve and fetch; none that is gone. */
export function machinesOf({
  servers,
  clients,
}: Pick<StackConfig, "servers" | "clients">): Map<string, MachineSettings> {
  const present = Object.entries(clients).filter(([, { gone }]) => gone !== true);
  return new Map<string, MachineSettings>([...present, ...Object.entries(servers)]);
}
