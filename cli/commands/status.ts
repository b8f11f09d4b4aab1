import { setTimeout } from "node:timers/promises";
import { lookAtMachines } from "../look-at-machines.ts";
import { columns, type MachineStatus, machineStatus, statusRow } from "../machine-status.ts";
import { readStack, type Stack } from "../stack.ts";
import { table } from "../table.ts";

export interface StatusOptions {
  json?: boolean;
  /** Look again every so many seconds, until Ctrl-C. */
  watch?: number;
}

/** `nixos-cache status`: how each machine stands. */
export async function status({ json = false, watch }: StatusOptions): Promise<void> {
  const stack = await readStack();
  for (;;) {
    const machines = await statusOf(stack);
    const shown = json ? JSON.stringify(machines) : inWords(machines, Date.now());
    // Over what stood there (ECMA-48: cursor to the top, erase all), unless it goes to a file.
    const clear = watch !== undefined && !json && process.stdout.isTTY ? "\u001b[H\u001b[2J" : "";
    console.log(clear + shown);
    if (watch === undefined) return;
    await setTimeout(watch * 1000);
  }
}

async function statusOf(stack: Stack): Promise<MachineStatus[]> {
  const looks = await lookAtMachines(stack, "status");
  return looks.map(({ name, observation, answer }) =>
    machineStatus(name, stack, observation, answer),
  );
}

function inWords(machines: readonly MachineStatus[], now: number): string {
  const rows = machines.map((machine) => statusRow(machine, now));
  return table(columns, rows, columns.indexOf("state"));
}
