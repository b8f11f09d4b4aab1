import { type Part, parts } from "./drift.ts";
import { plainWords } from "./plain-words.ts";

/** What one look at a machine has shown. */
export type Observation =
  /** Nothing of ours is on it. `imports`: whether a file of its configuration names our folder, which an update needs. */
  | { state: "new"; imports: boolean }
  /** Nobody can say; the reason in words. `away`: the machine was not reached, so it may be off. */
  | { state: "unknown"; reason: string; away?: true }
  | {
      state: "known";
      /** The parts that are not as they were left, each with what is wrong; none if all is well. */
      drift: ReadonlyMap<Part, string>;
      /** What a person should know, and no step repairs. */
      notes: readonly string[];
      /** For each role that the running system has, the SHA-256 of the module and its settings there, in hex. */
      runs: ReadonlyMap<string, string>;
    };

/** Said of a helper that this program did not put there like this. */
export const otherHelper = "its helper is another than this program has: from another version";

/** Said of a machine whose role was another component's of this stack: of one that was renamed, for example. */
const handedOn = (role: string, component: string) =>
  `its part as a ${role} is still that of the component ${component}`;
export const isHandedOn = (words: string): boolean => /^its part as a \w+ is still/.test(words);

/** Of one machine; each is a warning of its own. */
const mostNotes = 20;

/** What an answer is compared with. */
export interface Expected {
  /** SHA-256 of the list of the helper's files, in hex. */
  helper: string;
  /** The stack that asks: organization/project/stack. */
  stack: string;
  /** The machine's component in that stack. @default any */
  component?: string | undefined;
}

/**
 * Reads what the helper's step `observe` has printed (machine/helper/observe.sh).
 *
 * Strict: what is not whole, or has any other line, is unknown, and never a machine without drift.
 * @param text the step's stdout
 */
export function parseObservation(text: string, expected: Expected): Observation {
  const lines = text.split("\n");
  if (lines.pop() !== "" || lines.pop() !== "end") return unknown("its answer is not whole");
  if (lines.length === 1 && lines[0]?.startsWith("new")) {
    const [, imports, ...more] = lines[0].split("\t");
    if (more.length === 0 && (imports === "yes" || imports === "no")) {
      return { state: "new", imports: imports === "yes" };
    }
  }
  const helpers: string[] = [];
  const notes: string[] = [];
  const drift = new Map<Part, string>();
  const runs = new Map<string, string>();
  for (const line of lines) {
    const [kind, ...fields] = line.split("\t");
    const [first = "", second = ""] = fields;
    if (kind === "helper" && /^[0-9a-f]{64}$/.test(first) && fields.length === 1) {
      helpers.push(first);
    } else if (kind === "drift" && isPart(first) && fields.length === 2) {
      const before = drift.get(first);
      drift.set(first, plainWords(before === undefined ? second : `${before}, ${second}`));
    } else if (kind === "runs" && /^(server|client)\t[0-9a-f]{64}$/.test(fields.join("\t"))) {
      runs.set(first, second);
    } else if (kind === "note" && fields.length === 1) {
      notes.push(plainWords(first));
    } else if (kind === "owner" && fields.length === 3) {
      const [, , component] = fields;
      if (second !== expected.stack) {
        notes.push(
          `its part as a ${plainWords(first)} belongs to the stack ${plainWords(second)} now: this stack changes it only with takeOver: true`,
        );
      } else if (expected.component !== undefined && component !== expected.component) {
        // All of its steps, for the other component may have undone any of them.
        drift.set("everything", handedOn(plainWords(first), plainWords(component ?? "")));
      }
    } else {
      return unknown(`its answer has a line that is none of ours: ${plainWords(line)}`);
    }
  }
  if (helpers.length > 1) return unknown("its answer names two helpers");
  if (!drift.has("helper") && !drift.has("everything") && helpers[0] !== expected.helper) {
    drift.set("helper", helpers[0] === undefined ? "the helper is missing" : otherHelper);
  }
  const more = notes.length - mostNotes;
  if (more > 0) notes.splice(mostNotes, more, `and ${more} more notes`);
  return { state: "known", drift, notes, runs };
}

function isPart(text: string): text is Part {
  return (parts as readonly string[]).includes(text);
}

function unknown(reason: string): Observation {
  return { state: "unknown", reason };
}
