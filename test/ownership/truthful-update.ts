import { expect } from "vitest";
import type { Home } from "../system/home.ts";

/** One run of the engine, in the words that a person reads and in what it did. */
interface Run {
  code: number;
  /** `OP RESOURCE` for each resource that does not stay as it is, sorted. */
  changes: string[];
  /** All messages, a line each. */
  said: string;
}

/** What an update did, after its preview had said so. */
export interface TruthfulUpdate {
  changes: string[];
  preview: string;
  update: string;
}

/**
 * Previews an update and runs it. It has to go through, and to do what the preview said and nothing else.
 * @param args more words for both, like `--target`
 */
export async function truthfulUpdate(
  home: Home,
  args: readonly string[] = [],
): Promise<TruthfulUpdate> {
  const preview = await previewOf(home, args);
  const before = await generationsOf(home);
  const update = await run(home, ["up", "--yes", "--skip-preview", "--json", ...args]);
  expect(update.code, update.said).toBe(0);
  expect(update.changes).toEqual(preview.changes);
  const after = await generationsOf(home);
  const rebuilt = home.lab.hosts.filter((_, i) => after[i] !== before[i]);
  const told = toldToBeRebuilt(preview.said);
  if (told !== undefined && args.length === 0) expectRebuilt(home, rebuilt, told, update.changes);
  return { changes: update.changes, preview: preview.said, update: update.said };
}

function generationsOf(home: Home): Promise<number[]> {
  return Promise.all(home.lab.hosts.map((host) => home.generations(host)));
}

/** The machines that the preview names (components/rebuilds.ts); undefined, it does not speak of rebuilds. */
function toldToBeRebuilt(said: string): string[] | undefined {
  const names = /^The update would rebuild (.*?)[.;]/m.exec(said)?.[1];
  return names === "no machine" ? [] : names?.split(/, | and /);
}

/** A host may have another name in the stack than in the lab, or, once it has been taken out, none. */
function expectRebuilt(home: Home, rebuilt: string[], told: string[], changes: string[]): void {
  expect(rebuilt).toEqual(
    expect.arrayContaining(told.filter((name) => home.lab.hosts.includes(name))),
  );
  const takenOut = changes.some((change) => /^delete .*-settings$/.test(change));
  if (!takenOut) expect(rebuilt).toHaveLength(told.length);
}

/** A preview alone, which has to go through. */
export async function previewOf(home: Home, args: readonly string[] = []): Promise<Run> {
  const { code, stdout, stderr } = await home.stack.attempt(["preview", "--json", ...args]);
  const { steps = [], diagnostics = [] } = JSON.parse(stdout) as {
    steps?: { op: string; urn: string }[];
    diagnostics?: { message: string }[];
  };
  expect(code, stdout + stderr).toBe(0);
  return {
    code,
    changes: changesOf(steps),
    said: diagnostics.map(({ message }) => message).join("\n"),
  };
}

/** A run whose answer is a stream of the engine's events, whatever its end. */
export async function run(home: Home, args: readonly string[]): Promise<Run> {
  const { code, stdout } = await home.stack.attempt(args);
  const events = stdout.split("\n").flatMap((line) => {
    const event = line.startsWith("{") ? (JSON.parse(line) as EngineEvent) : undefined;
    return event === undefined ? [] : [event];
  });
  return {
    code,
    changes: changesOf(events.flatMap(({ resourcePreEvent }) => resourcePreEvent?.metadata ?? [])),
    said: events
      .flatMap(({ diagnosticEvent }) =>
        diagnosticEvent === undefined || diagnosticEvent.severity === "debug"
          ? []
          : [diagnosticEvent.message],
      )
      .join("\n"),
  };
}

interface EngineEvent {
  resourcePreEvent?: { metadata: { op: string; urn: string } };
  diagnosticEvent?: { message: string; severity: string };
}

/** A replacement counts once, whatever steps it takes. */
function changesOf(steps: { op: string; urn: string }[]): string[] {
  const changed = steps.flatMap(({ op, urn }) => {
    const name = urn.split("::").at(-1);
    return ["same", "read", "create-replacement", "delete-replaced"].includes(op)
      ? []
      : [`${op} ${name}`];
  });
  return changed.sort();
}
