import { z } from "zod";
import type { Observation } from "../machine/observation.ts";
import { age } from "./age.ts";
import { type Answer, wholeNumber } from "./answer.ts";
import { roleOf } from "./roles.ts";
import { size } from "./size.ts";
import type { Stack } from "./stack.ts";

/** How a machine stands; the lines of `nixos-cache status --json`. What nobody knows is left out. */
export interface MachineStatus {
  name: string;
  /** `serves`, `fetches`, or both. */
  role: string;
  /** Whether it let the operator in. */
  reachable: boolean;
  /** Why nobody knows more, in words. */
  reason?: string;
  /** What is not as the last `up` left it, in words. */
  drift: string[];
  /** What a person should know, and no `up` repairs. */
  notes: string[];
  /** When the key was made that it signs with or reads by: ISO 8601, UTC. */
  keysCreated: { signing?: string; ssh?: string };
  /** What is in its store that came from each of its servers. */
  fetched: { server: string; paths: number; bytes: number; last: string }[];
  /** Paths in its store, and the sum of their sizes. */
  store?: { paths: number; bytes: number };
  /** Bytes that are free on the file system of the store. */
  free?: number;
}

/** Puts together what one look at a machine has shown, and what it has answered to the question `status`. */
export function machineStatus(
  name: string,
  { settings, keys }: Pick<Stack, "settings" | "keys">,
  observation: Observation,
  answer: Answer | Error,
): MachineStatus {
  const reason =
    answer instanceof Error
      ? answer.message
      : observation.state === "unknown"
        ? observation.reason
        : undefined;
  const signing = keys.servers[name]?.keyCreated;
  const ssh = keys.clients[name]?.keyCreated;
  const known = answer instanceof Error ? undefined : answer;
  const [paths, bytes] = (known?.all("store")[0] ?? []).map(wholeNumber);
  const free = known?.number("free");
  return {
    name,
    role: roleOf(name, settings),
    reachable: known !== undefined || observation.state !== "unknown",
    ...(reason === undefined ? {} : { reason }),
    drift:
      observation.state === "known"
        ? [...new Set(observation.drift.values())]
        : observation.state === "new"
          ? ["nothing of this stack is on it yet"]
          : [],
    notes: observation.state === "known" ? [...observation.notes] : [],
    keysCreated: {
      ...(signing === undefined ? {} : { signing }),
      ...(ssh === undefined ? {} : { ssh }),
    },
    fetched: (settings.clients[name]?.servers ?? []).flatMap((server) => fetched(server, known)),
    ...(paths === undefined || bytes === undefined ? {} : { store: { paths, bytes } }),
    ...(free === undefined ? {} : { free }),
  };
}

const count = z.string().regex(/^[0-9]{1,15}$/);
/** Seconds since 1970, before the year 5138. */
const line = z.tuple([z.string(), count, count, z.string().regex(/^[0-9]{1,11}$/)]);

function fetched(server: string, answer: Answer | undefined): MachineStatus["fetched"] {
  const fields = answer?.all("fetched").find(([its]) => its === server);
  const parsed = line.safeParse(fields);
  if (!parsed.success) return [];
  const [, paths, bytes, last] = parsed.data;
  const at = new Date(Number(last) * 1000).toISOString();
  return [{ server, paths: Number(paths), bytes: Number(bytes), last: at }];
}

/** The table's head. */
export const columns = ["machine", "role", "state", "keys", "fetched from", "store"];

/** The same machine as a row of the table, each cell in words. */
export function statusRow(status: MachineStatus, now: number): string[] {
  const { name, role, reachable, reason, drift, notes, keysCreated, store, free } = status;
  const since = (time: string) => age(now - Date.parse(time));
  const keys = Object.entries(keysCreated).map(
    ([kind, created]) => `${kind === "ssh" ? "SSH" : kind}: ${since(created)}`,
  );
  const from = status.fetched.map(
    ({ server, paths, bytes, last }) =>
      `${server}: ${since(last)} ago\n${paths} path${paths === 1 ? "" : "s"}, ${size(bytes)}`,
  );
  const state = !reachable
    ? [`not reached: ${reason ?? ""}`]
    : [...drift.map((words) => `drift: ${words}`), ...notes, ...(reason ? [reason] : [])];
  return [
    name,
    role,
    state.length === 0 ? "as it should be" : state.join("\n"),
    keys.join("\n"),
    from.join("\n"),
    [
      ...(store === undefined ? [] : [`${size(store.bytes)} in ${store.paths} paths`]),
      ...(free === undefined ? [] : [`${size(free)} free`]),
    ].join("\n"),
  ];
}
