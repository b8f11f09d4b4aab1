import { type CommandState, commandInputs } from "./inputs.ts";
import { type Properties, plain, unknown } from "./properties.ts";
import type { Call, ResourceType } from "./resource-type.ts";
import { run } from "./run.ts";

/** remote.Command: a command line for each of create, update and delete. */
export const command: ResourceType = {
  inputs: commandInputs,
  idStart: (name) => name,
  unknownOutputs: { stdout: unknown, stderr: unknown },
  create: (inputs, call) => runFirst(["create"], inputs, { stdout: "", stderr: "" }, call),
  update: (inputs, state, call) => runFirst(["update", "create"], inputs, state, call),
  async delete(state, call) {
    await runFirst(["delete"], state, state, call);
  },
};

/** Runs the first of these commands that is set; without one the earlier outputs stay. */
async function runFirst(
  names: ("create" | "update" | "delete")[],
  inputs: Properties,
  { stdout, stderr }: Properties,
  { log, signal }: Call,
): Promise<Properties> {
  const state = plain({ ...inputs, stdout, stderr }) as CommandState;
  const line = names.map((name) => state[name]).find((text) => text !== undefined);
  if (line === undefined) return { stdout, stderr };
  return { ...(await run(state, line, log, signal)) };
}
