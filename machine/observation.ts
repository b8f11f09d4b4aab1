import type { Part } from "./drift.ts";
import { plainWords } from "./plain-words.ts";

/** What one look at a machine has shown. */
export type Observation =
  /** Nothing of ours is on it. */
  | { state: "new" }
  /** Nobody can say; the reason in words. */
  | { state: "unknown"; reason: string }
  /** The parts that are not as they were left, each with what is wrong; none if all is well. */
  | { state: "known"; drift: ReadonlyMap<Part, string> };

/** Said of a helper that this program did not put there like this. */
export const otherHelper =
  "its helper is another than this program has: from another version, with other settings, or changed by hand";

const partPattern =
  /^(signing|identity|agent|settings (server|client)|authorization [a-z0-9-]{1,63})$/;

/**
 * Reads what the helper's step `observe` has printed, TAB-separated:
 *
 *     new                  nothing of ours is there
 *     helper  SHA256       of the helper that is there
 *     drift   PART  WORDS
 *     end                  the last line
 *
 * Strict: what is not whole, or has any other line, is unknown, and never a machine without drift.
 * @param text the step's stdout
 * @param expectedHelper SHA-256 of the helper that should be there, in hex
 */
export function parseObservation(text: string, expectedHelper: string): Observation {
  const lines = text.split("\n");
  if (lines.pop() !== "" || lines.pop() !== "end") return unknown("its answer is not whole");
  if (lines.length === 1 && lines[0] === "new") return { state: "new" };
  const helpers: string[] = [];
  const drift = new Map<Part, string>();
  for (const line of lines) {
    const [kind, first = "", words, ...more] = line.split("\t");
    if (kind === "helper" && /^[0-9a-f]{64}$/.test(first) && words === undefined) {
      helpers.push(first);
    } else if (kind === "drift" && isPart(first) && words !== undefined && more.length === 0) {
      const before = drift.get(first);
      drift.set(first, plainWords(before === undefined ? words : `${before}, ${words}`));
    } else {
      return unknown(`its answer has a line that is none of ours: ${plainWords(line)}`);
    }
  }
  if (helpers.length > 1) return unknown("its answer names two helpers");
  if (!drift.has("agent") && helpers[0] !== expectedHelper) {
    drift.set("agent", helpers[0] === undefined ? "its helper is missing" : otherHelper);
  }
  return { state: "known", drift };
}

function isPart(text: string): text is Part {
  return partPattern.test(text);
}

function unknown(reason: string): Observation {
  return { state: "unknown", reason };
}
