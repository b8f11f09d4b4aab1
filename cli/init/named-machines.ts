import input from "@inquirer/input";
import { type MachineSpec, machineSpec } from "./machine-spec.ts";

/** The machines of the new stack, as a person names them. */
export interface NamedMachines {
  servers: MachineSpec[];
  clients: MachineSpec[];
}

/**
 * Reads the machines from the command line; where no server is named there, asks the person.
 * @param given each as `machineSpec` reads it
 * @throws Error in words for a person: a text that names no machine, or no server and nobody to ask
 */
export async function namedMachines(
  given: { server: readonly string[]; client: readonly string[] },
  isTerminal: boolean,
): Promise<NamedMachines> {
  const servers = given.server.map(machineSpec);
  const clients = given.client.map(machineSpec);
  if (servers.length > 0) return { servers, clients };
  if (!isTerminal) {
    throw new Error("no machine is named: write --server root@kalaw.lan --client root@pai.lan");
  }
  return {
    servers: await prompt("A machine that serves, like root@kalaw.lan (empty: no more):", true),
    clients: [
      ...clients,
      ...(await prompt("A machine that fetches, like root@pai.lan (empty: no more):", false)),
    ],
  };
}

/** Asks for one machine after the other, until the person writes nothing. */
async function prompt(message: string, isNeeded: boolean): Promise<MachineSpec[]> {
  const specs: MachineSpec[] = [];
  for (;;) {
    const text = await input({ message, validate: (text) => valid(text, isNeeded && !specs[0]) });
    if (text.trim() === "") return specs;
    specs.push(machineSpec(text));
  }
}

function valid(text: string, isNeeded: boolean): true | string {
  if (text.trim() === "") return isNeeded ? "Write at least one." : true;
  try {
    machineSpec(text);
    return true;
  } catch (error) {
    return (error as Error).message;
  }
}
