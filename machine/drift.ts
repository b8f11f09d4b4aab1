import { type Observation, otherHelper } from "./observation.ts";

/** What can drift on a machine: the steps that made it, or `everything`, what no step is without. */
export type Part =
  | "everything"
  | "agent"
  | "signing"
  | "identity"
  | "settings server"
  | "settings client"
  | `authorization ${string}`;

/** The steps of a machine that have to be taken again, each with the reason: words and the time, ISO 8601, UTC. */
export type Drift = ReadonlyMap<Part, string>;

/** The machine as far as is known: nothing has to be done again. */
export const noDrift: Drift = new Map();

/**
 * What an observation asks for. The time is part of a reason, so that the same drift twice is two changes.
 * @param observation none where nobody has looked
 */
export function driftOf(observation: Observation | undefined, at: Date): Drift {
  const because = (words: string) => `${words} (${at.toISOString().replace(/\.\d+/, "")})`;
  switch (observation?.state) {
    case "new":
      return new Map([["everything", because("nothing of pulumi-nixos-cache was there")]]);
    case "known":
      return new Map([...observation.drift].map(([part, words]) => [part, because(words)]));
    default:
      return noDrift;
  }
}

/** What a person should hear about a machine; nothing of one that is as it should be, or new. */
export function driftInWords(
  name: string,
  observation: Observation,
): { severity: "warn" | "info"; text: string } | undefined {
  if (observation.state === "unknown") {
    return {
      severity: "warn",
      text: `${name}: could not be observed, so whether it has drifted is unknown: ${observation.reason}`,
    };
  }
  if (observation.state === "new" || observation.drift.size === 0) return undefined;
  const words = [...new Set(observation.drift.values())];
  // So it is after every change of this program or of the machine's options, too.
  if (words.length === 1 && words[0] === otherHelper) {
    return { severity: "info", text: `${name}: ${otherHelper}. \`pulumi up\` replaces it.` };
  }
  return {
    severity: "warn",
    text: `${name} has drifted: ${words.join("; ")}. \`pulumi up\` repairs it.`,
  };
}
