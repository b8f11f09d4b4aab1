import type { Log } from "./engine-log.ts";
import type { Shape } from "./inputs.ts";
import type { Properties } from "./properties.ts";

/** One resource type of the plugin: its inputs, and what is done with them. */
export interface ResourceType {
  inputs: Shape;
  /** What the id of the resource with this name starts with; the rest is random. */
  idStart(name: string): string;
  /** What a preview answers for the outputs that are no inputs. */
  unknownOutputs: Properties;
  /** @returns the outputs that are no inputs */
  create(inputs: Properties, call: Call): Promise<Properties>;
  /** @returns the outputs that are no inputs */
  update(inputs: Properties, state: Properties, call: Call): Promise<Properties>;
  delete(state: Properties, call: Call): Promise<void>;
}

/** What the engine gives along with the inputs. */
export interface Call {
  log: Log;
  /** Aborted on Ctrl-C and when `customTimeouts` are over. */
  signal: AbortSignal;
}
