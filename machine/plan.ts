import { agentScript, type MachineOptions, oneOff } from "./agent.ts";
import { asRoot, sudoExplained } from "./as-root.ts";
import { printable } from "./printable.ts";
import { runOverSsh, type SshAddress } from "./run-over-ssh.ts";
import type { SshLogin } from "./ssh-login.ts";

export interface PlannedMachine extends MachineOptions {
  connection: SshAddress;
  role: "server" | "client";
  /** The settings text that would be written; empty: the files as they are. */
  settings: string;
}

/**
 * Asks a machine what a rebuild with these settings would change. It builds there, and switches nothing.
 * @param script the helper's text
 * @returns lines for a person
 * @throws Error in words for a person: no connection, or no plan
 */
export async function planFor(
  { connection, role, settings, ...options }: PlannedMachine,
  login: SshLogin,
  script = agentScript(options),
): Promise<string[]> {
  const command = asRoot(oneOff(script, `plan ${role}`), connection.user);
  const { status, stdout, stderr } = await runOverSsh(connection, login, command, {
    stdin: script + settings,
    // A build may have to download and compile.
    seconds: 30 * 60,
  });
  if (status !== 0) {
    const words = printable(sudoExplained(stderr, connection.user)).join("\n");
    throw new Error(words || `exit status ${status}`);
  }
  return printable(stdout);
}
