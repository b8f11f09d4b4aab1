import { sudoExplained } from "./as-root.ts";
import { callOnce, helperFolder, helperVersion, unpackHelper } from "./helper.ts";
import { type Observation, parseObservation } from "./observation.ts";
import { plainWords } from "./plain-words.ts";
import { quoted } from "./quoted.ts";
import { NotReached, runOverSsh, type SshAddress } from "./run-over-ssh.ts";
import type { SshLogin } from "./ssh-login.ts";

/** Who looks: the stack, as organization/project/stack, and the operator's login. */
export interface Observer {
  stack: string;
  login: SshLogin;
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
  return new Map(
    await Promise.all(
      [...machines].map(
        async ([name, address]) =>
          [
            name,
            made instanceof Error
              ? { state: "unknown", reason: made.message }
              : await observe(address, made),
          ] as [string, Observation],
      ),
    ),
  );
}

/**
 * Looks at one machine by a helper that comes with the question, so whatever helper is on it does not matter.
 * @param unpack the script that makes that helper's files
 * @param seconds until the whole answer has to be there
 */
export async function observe(
  { component, ...address }: ObservedMachine,
  { stack, login }: Observer,
  unpack = unpackHelper,
  seconds = 15,
): Promise<Observation> {
  const words = `observe --owner ${quoted(stack)} --helper ${helperFolder(address.user)}`;
  try {
    const { status, stdout, stderr } = await runOverSsh(
      address,
      login,
      callOnce(words, address.user, unpack),
      { stdin: unpack, seconds },
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
