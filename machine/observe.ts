import { agentScript, type MachineOptions, oneOff, sha256 } from "./agent.ts";
import { asRoot, sudoExplained } from "./as-root.ts";
import { type Observation, parseObservation } from "./observation.ts";
import { plainWords } from "./plain-words.ts";
import { runOverSsh, type SshAddress } from "./run-over-ssh.ts";
import type { SshLogin } from "./ssh-login.ts";

/** A machine to look at, and the options of the helper that should be on it. */
export interface ObservedMachine extends MachineOptions {
  connection: SshAddress;
}

/**
 * Looks at machines, all at once: as long as the slowest takes, 15 seconds at most. It changes nothing on them,
 * and never throws: a machine that cannot be looked at is unknown.
 * @param login makes the operator's login; if it throws, nothing is known of any machine
 */
export async function observeAll(
  machines: ReadonlyMap<string, ObservedMachine>,
  login: () => SshLogin,
): Promise<Map<string, Observation>> {
  const parsed = attempt(login);
  return new Map(
    await Promise.all(
      [...machines].map(
        async ([name, machine]) =>
          [
            name,
            parsed instanceof Error
              ? { state: "unknown", reason: parsed.message }
              : await observe(machine, parsed),
          ] as [string, Observation],
      ),
    ),
  );
}

/**
 * Looks at one machine by a helper that comes with the question, so whatever helper is on it does not matter.
 * @param script the helper's text
 */
export async function observe(
  { connection, ...options }: ObservedMachine,
  login: SshLogin,
  script = agentScript(options),
): Promise<Observation> {
  try {
    const command = asRoot(oneOff(script, "observe"), connection.user);
    const { status, stdout, stderr } = await runOverSsh(connection, login, command, {
      stdin: script,
    });
    if (status === 0) return parseObservation(stdout, sha256(script));
    const words = plainWords(sudoExplained(stderr, connection.user));
    return { state: "unknown", reason: `the question ended with exit status ${status}: ${words}` };
  } catch (error) {
    return { state: "unknown", reason: (error as Error).message };
  }
}

function attempt<T>(make: () => T): T | Error {
  try {
    return make();
  } catch (error) {
    return error as Error;
  }
}
