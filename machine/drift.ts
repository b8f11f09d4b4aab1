import { isHandedOn, type Observation, otherHelper } from "./observation.ts";

/** What can drift on a machine: the steps that made it, or `everything`, what no step is without. */
export const parts = [
  "everything",
  "helper",
  "settings server",
  "settings client",
  "keys server",
  "keys client",
  "authorizations",
] as const;
export type Part = (typeof parts)[number];

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

/** Whether a machine is off or elsewhere, as it may be: what has to be done there waits until it is back. */
export function isAway(observation: Observation | undefined, mayBeOff: boolean): boolean {
  return mayBeOff && observation?.state === "unknown" && observation.away === true;
}

/** What is to be expected of a machine, by its settings. */
export interface Expectations {
  /** @default false */
  mayBeOff?: boolean;
  /** Its owner deploys its settings, which so need no import of our folder. @default false */
  deployedByOwner?: boolean;
}

/** What a person should hear about a machine; nothing of one that is as it should be, or new and ready. */
export function driftInWords(
  name: string,
  observation: Observation,
  { mayBeOff = false, deployedByOwner = false }: Expectations = {},
): { severity: "warn" | "info"; text: string }[] {
  if (observation.state === "unknown") {
    if (isAway(observation, mayBeOff)) {
      const text = `${name} is off or elsewhere, as it may be: ${observation.reason}. What has to be done there is left for the next \`pulumi up\`; it keeps the access that it has.`;
      return [{ severity: "warn", text }];
    }
    const text = `${name}: could not be looked at, so how it stands is unknown: ${observation.reason}`;
    return [{ severity: "warn", text }];
  }
  if (observation.state === "new") {
    if (observation.imports || deployedByOwner) return [];
    const text = `${name}: no file of its configuration names our folder yet, and \`pulumi up\` stops there without it. Add imports = [ ./nixos-cache ]; first: \`nixos-cache doctor\` shows where.`;
    return [{ severity: "warn", text }];
  }
  const notes = observation.notes.map((words) => ({
    severity: "warn" as const,
    text: `${name}: ${words}`,
  }));
  if (observation.drift.size === 0) return notes;
  const words = [...new Set(observation.drift.values())];
  // What nobody has done to the machine: so it is after a change of this program, or of the stack file.
  const [only = ""] = words.length === 1 ? words : [];
  const end = only === otherHelper ? "replaces it" : isHandedOn(only) ? "hands it on" : undefined;
  if (end !== undefined) {
    return [{ severity: "info", text: `${name}: ${only}. \`pulumi up\` ${end}.` }, ...notes];
  }
  const text = `${name} has drifted: ${words.join("; ")}. \`pulumi up\` ${repair(words)}.`;
  return [{ severity: "warn", text }, ...notes];
}

/** What an update does about it. What a machine's owner deploys themselves, it can only ask for. */
function repair(words: readonly string[]): string {
  const toDeploy = words.filter((each) => each.startsWith("its owner has deployed"));
  if (toDeploy.length === 0) return "repairs it";
  return toDeploy.length === words.length
    ? "says what to deploy"
    : "repairs what it can, and says what to deploy";
}
