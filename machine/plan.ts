import { sudoExplained } from "./as-root.ts";
import { callOnce, unpackHelper } from "./helper.ts";
import { type MachineOptions, optionWords } from "./options.ts";
import { printable } from "./printable.ts";
import { runOverSsh } from "./run-over-ssh.ts";
import type { SshAddress } from "./ssh-connection.ts";
import type { SshLogin } from "./ssh-login.ts";

/** A machine, and what would be done there. */
export interface PlannedMachine {
  connection: SshAddress;
  options: MachineOptions;
  role: "server" | "client";
  /** The settings that would be written; empty: the files as they are. */
  settings: string;
}

/**
 * Asks a machine what a rebuild with these settings would change. It builds there, and switches nothing.
 * @param unpack the script that makes the helper's files
 * @returns lines for a person
 * @throws Error in words for a person: no connection, or no plan
 */
export async function planFor(
  { connection, options, role, settings }: PlannedMachine,
  login: SshLogin,
  unpack = unpackHelper,
): Promise<string[]> {
  const words = `plan ${role} ${optionWords(options)}`.trimEnd();
  const command = callOnce(words, connection.user, unpack);
  const { status, stdout, stderr } = await runOverSsh(connection, login, command, {
    stdin: unpack + settings,
    // A build may have to download and compile.
    seconds: 30 * 60,
  });
  if (status !== 0) {
    const words = printable(sudoExplained(stderr, connection.user)).join("\n");
    throw new Error(words || `exit status ${status}`);
  }
  return printable(stdout);
}
