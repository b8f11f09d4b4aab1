import type { ClientChannel } from "ssh2";
import {
  brokenOff,
  failure,
  JumpHosts,
  NotReached,
  openSsh,
  type SshAddress,
} from "./ssh-connection.ts";
import type { SshLogin } from "./ssh-login.ts";

/** What a command has left. */
export interface Ran {
  /** Its exit status. */
  status: number;
  stdout: string;
  stderr: string;
}

export interface RunOptions {
  /** Text for the command. The only way for a secret. */
  stdin?: string;
  /** Seconds until a login is done, at a jump host and at the machine. @default 5 */
  dialSeconds?: number;
  /** Seconds until all is done. @default 15 */
  seconds?: number;
  /** Connections to jump hosts, to share with others. @default its own */
  jumpHosts?: JumpHosts | undefined;
}

/** More than any answer needs, in characters; whatever prints without end is cut off. */
const longestOutput = 1_000_000;

/**
 * Runs one shell command on a machine, over an SSH connection of its own that is closed afterwards.
 * Which status it ends with is for the caller to judge.
 * @throws Error in words for a person, with nothing secret in them: no login, or a command that was cut off; NotReached where
 *   there was no connection, another host key, or no answer in time
 */
export async function runOverSsh(
  address: SshAddress,
  login: SshLogin,
  command: string,
  { stdin = "", dialSeconds = 5, seconds = 15, jumpHosts }: RunOptions = {},
): Promise<Ran> {
  const { host, port = 22 } = address;
  const done = new AbortController();
  const dialling = { login, dialSeconds, signal: done.signal };
  let limit: NodeJS.Timeout | undefined;
  try {
    return await new Promise((resolve, reject) => {
      limit = setTimeout(
        () => reject(new NotReached(`${host} port ${port} took more than ${seconds} seconds`)),
        seconds * 1000,
      );
      openSsh(address, dialling, jumpHosts ?? new JumpHosts(dialling)).then((client) => {
        client.on("error", (error) => reject(failure(error, address)));
        client.on("close", () => reject(brokenOff(address)));
        client.exec(command, (error, channel) => {
          if (error) reject(new Error(failure(error, address).message));
          else collect(channel, stdin).then(resolve, reject);
        });
      }, reject);
    });
  } finally {
    clearTimeout(limit);
    done.abort();
  }
}

async function collect(channel: ClientChannel, stdin: string): Promise<Ran> {
  const output = { stdout: "", stderr: "" };
  return new Promise((resolve, reject) => {
    const read = (name: keyof typeof output) => (text: string) => {
      output[name] += text;
      if (output[name].length > longestOutput) reject(new Error("the command printed too much"));
    };
    channel.setEncoding("utf8").on("data", read("stdout"));
    channel.stderr.setEncoding("utf8").on("data", read("stderr"));
    channel.on("error", () => reject(new Error("the command was cut off")));
    channel.on("close", (status?: number | null, signal?: string) => {
      if (typeof status === "number") resolve({ status, ...output });
      else
        reject(
          new Error(signal ? `the command was ended by ${signal}` : "the command was cut off"),
        );
    });
    channel.end(stdin);
  });
}
