import type { ClientChannel } from "ssh2";
import { dial } from "./dial.ts";
import type { Log } from "./engine-log.ts";
import { exec, type Variable } from "./exec.ts";
import type { CommandState } from "./inputs.ts";
import { quote } from "./quote.ts";

export interface Output {
  stdout: string;
  stderr: string;
}

/**
 * Runs one command line of a remote.Command over a connection of its own. Throws the official
 * message of a failure: how it ended, the command, and all that it printed, whatever `logging` says.
 */
export async function run(
  state: CommandState,
  command: string,
  log: Log,
  signal: AbortSignal,
): Promise<Output> {
  const client = await dial(state.connection, log, signal);
  try {
    const channel = await exec(client, command, environment(state, log));
    return await collect(channel, state, command, log);
  } finally {
    client.end();
  }
}

function environment(state: CommandState, log: Log): Variable[] {
  const set: Variable[] = Object.entries(state.environment ?? {}).map(([name, value]) => ({
    name,
    value,
    refused: () => {
      log.error(refusal(name));
      throw new Error(`could not set environment variable ${quote(name)}: ssh: setenv failed`);
    },
  }));
  if (state.addPreviousOutputInEnv === false) return set;
  const previous = { PULUMI_COMMAND_STDOUT: state.stdout, PULUMI_COMMAND_STDERR: state.stderr };
  for (const [name, value] of Object.entries(previous)) {
    if (value) set.push({ name, value, refused: () => log.warning(refusal(name)) });
  }
  return set;
}

// Line ends and tabs are the official plugin's.
function refusal(name: string): string {
  return `Unable to set '${name}'. This only works if your SSH server is configured to accept
\tthese variables via AcceptEnv. Alternatively, if a Bash-like shell runs the command on the remote host, you could
\tprefix the command itself with the variables in the form 'VAR=value command'`;
}

function collect(
  channel: ClientChannel,
  { logging = "stdoutAndStderr", stdin }: CommandState,
  command: string,
  log: Log,
): Promise<Output> {
  return new Promise((resolve, reject) => {
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    const both: Buffer[] = [];
    const logged = new Lines((line) => log.status(line));
    channel.on("data", (data: Buffer) => {
      stdout.push(data);
      both.push(data);
      if (logging === "stdout" || logging === "stdoutAndStderr") logged.add(data);
    });
    channel.stderr.on("data", (data: Buffer) => {
      stderr.push(data);
      both.push(data);
      if (logging === "stderr" || logging === "stdoutAndStderr") logged.add(data);
    });
    let end = "wait: remote command exited without exit status or exit signal";
    channel.on("exit", (status: number | null, name?: string, _dump?: string, reason?: string) => {
      end = `Process exited with status ${status ?? signalStatus(name)}`;
      if (name) end += ` from signal ${name.replace(/^SIG/, "")}`;
      if (reason) end += `. Reason was: ${reason}`;
    });
    channel.on("close", () => {
      logged.end();
      if (end === "Process exited with status 0") {
        resolve({ stdout: text(stdout), stderr: text(stderr) });
      } else {
        reject(new Error(`${end}: running ${quote(command)}:\n${Buffer.concat(both)}`));
      }
    });
    // A command that does not read its stdin is no failure of ours: what is left is dropped.
    channel.on("error", () => channel.close());
    channel.end(stdin ?? "");
  });
}

function text(chunks: Buffer[]): string {
  return Buffer.concat(chunks).toString().replace(/\n$/, "");
}

const signals: Record<string, number> = {
  ABRT: 6,
  ALRM: 14,
  FPE: 8,
  HUP: 1,
  ILL: 4,
  INT: 2,
  KILL: 9,
  PIPE: 13,
  QUIT: 3,
  SEGV: 11,
  TERM: 15,
};

function signalStatus(name = ""): number {
  return 128 + (signals[name.replace(/^SIG/, "")] ?? 0);
}

/** Cuts what arrives into lines, both streams in one, as it comes. */
class Lines {
  #rest: Buffer = Buffer.alloc(0);
  readonly #take: (line: string) => void;

  constructor(take: (line: string) => void) {
    this.#take = take;
  }

  add(data: Buffer): void {
    this.#rest = Buffer.concat([this.#rest, data]);
    for (let at = this.#rest.indexOf(10); at >= 0; at = this.#rest.indexOf(10)) {
      this.#take(this.#rest.toString("utf8", 0, at).replace(/\r$/, ""));
      this.#rest = this.#rest.subarray(at + 1);
    }
  }

  end(): void {
    if (this.#rest.length > 0) this.#take(this.#rest.toString().replace(/\r$/, ""));
  }
}
