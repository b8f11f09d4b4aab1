import { constants } from "node:os";
import { execa } from "execa";

/** How a command ended. `code` is its exit status; 128 + n if signal n ended it, as in a shell. */
export interface Outcome {
  stdout: string;
  stderr: string;
  code: number;
}

export interface OutcomeOptions {
  stdin?: string | Uint8Array;
  cwd?: string;
  /** Added to this process's own; what is undefined is taken out of it. */
  env?: Record<string, string | undefined>;
  /** Whether a person sees it as it runs; its output is then not in the outcome. */
  show?: boolean;
}

/** Runs a command to its end, whatever that is, and says how it ended.
 * @throws when it cannot be started. */
export async function outcome(
  argv: readonly string[],
  { stdin, cwd, env, show = false }: OutcomeOptions = {},
): Promise<Outcome> {
  const [command = "", ...args] = argv;
  const input =
    stdin === undefined ? ({ stdin: show ? "inherit" : "ignore" } as const) : { input: stdin };
  const result = await execa(command, args, {
    ...input,
    ...(show ? ({ stdout: "inherit", stderr: "inherit" } as const) : {}),
    ...(cwd === undefined ? {} : { cwd }),
    ...(env === undefined ? {} : { env }),
    reject: false,
    stripFinalNewline: false,
    maxBuffer: 2 ** 28,
  });
  const { stdout = "", stderr = "", signal } = result;
  const code = result.exitCode ?? (signal && 128 + constants.signals[signal]);
  if (code === undefined) throw result;
  return { stdout, stderr, code: Number(code) };
}
