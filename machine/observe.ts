import { sudoExplained } from "./as-root.ts";
import { callOnce, helperFolder, helperVersion, unpackHelper } from "./helper.ts";
import { type Observation, parseObservation } from "./observation.ts";
import { plainWords } from "./plain-words.ts";
import { quoted } from "./quoted.ts";
import { runOverSsh } from "./run-over-ssh.ts";
import { JumpHosts, NotReached, type SshAddress } from "./ssh-connection.ts";
import type { SshLogin } from "./ssh-login.ts";

/** Until a machine, or a jump host, has let the operator in. */
export const dialSeconds = 5;

/** Who looks: the stack, as organization/project/stack, and the operator's login. */
export interface Observer {
  stack: string;
  login: SshLogin;
  /** Connections to jump hosts, to share. @default each machine's own */
  jumpHosts?: JumpHosts;
}

/** Where a machine is, and whose it should be. */
export interface ObservedMachine extends SshAddress {
  /** Its component in the observer's stack, as the machine knows it (components/owner.ts). @default any */
  component?: string | undefined;
}

/**
 * Looks at machines, all at once: as long as the slowest takes, 15 seconds at most. It changes nothing on them,
 * and never throws: a machine that cannot be looked at is unknown.
 * @param observer makes the observer; if it throws, nothing is known of any machine
 */
export async function observeAll(
  machines: ReadonlyMap<string, ObservedMachine>,
  observer: () => Observer,
): Promise<Map<string, Observation>> {
  const made = attempt(observer);
  const done = new AbortController();
  let jumpHosts: JumpHosts | undefined;
  const look = async (address: ObservedMachine): Promise<Observation> => {
    if (made instanceof Error) return { state: "unknown", reason: made.message };
    jumpHosts ??= new JumpHosts({ login: made.login, dialSeconds, signal: done.signal });
    return observe(address, { ...made, jumpHosts });
  };
  try {
    return new Map(
      await Promise.all(
        [...machines].map(async ([name, address]) => [name, await look(address)] as const),
      ),
    );
  } finally {
    done.abort();
  }
}

/**
 * Looks at one machine by a helper that comes with the question, so whatever helper is on it does not matter.
 * @param unpack the script that makes that helper's files
 * @param seconds until the whole answer has to be there
 */
export async function observe(
  { component, ...address }: ObservedMachine,
  { stack, login, jumpHosts }: Observer,
  unpack = unpackHelper,
  seconds = 15,
): Promise<Observation> {
  const words = `observe --owner ${quoted(stack)} --helper ${helperFolder(address.user)}`;
  try {
    const { status, stdout, stderr } = await runOverSsh(
      address,
      login,
      callOnce(words, address.user, unpack),
      { stdin: unpack, dialSeconds, seconds, jumpHosts },
    );
    if (status === 0) return parseObservation(stdout, { helper: helperVersion, stack, component });
    const said = plainWords(sudoExplained(stderr, address.user));
    return { state: "unknown", reason: `the question ended with exit status ${status}: ${said}` };
  } catch (error) {
    const { message: reason } = error as Error;
    return { state: "unknown", reason, ...(error instanceof NotReached && { away: true }) };
  }
}

function attempt<T>(make: () => T): T | Error {
  try {
    return make();
  } catch (error) {
    return error as Error;
  }
}
