import { connect } from "node:net";
import ssh, { type AnyAuthMethod, Client, type ClientChannel } from "ssh2";
import { bareHostKey, checkedHostKey } from "./host-key.ts";
import { isRefusal, sshErrorInWords } from "./ssh-error.ts";
import type { SshLogin } from "./ssh-login.ts";

/** A machine's sshd, and whom to be there. */
export interface SshAddress {
  /** Host name or address. */
  host: string;
  /** @default 22 */
  port?: number | undefined;
  /** @default "root" */
  user?: string | undefined;
  /** The only host key that it may have, `type base64`, ed25519 or ECDSA; a comment may follow. */
  hostKey: string;
}

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
  /** Seconds until the login is done. @default 5 */
  dialSeconds?: number;
  /** Seconds until all is done. @default 15 */
  seconds?: number;
}

/**
 * The machine itself has said nothing: nobody with its host key was there, or nothing more came. So it may be off, or
 * somewhere else. Not where it refuses the login, or answers wrongly.
 */
export class NotReached extends Error {
  override name = "NotReached";
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
  { stdin = "", dialSeconds = 5, seconds = 15 }: RunOptions = {},
): Promise<Ran> {
  const { host, port = 22, user = "root" } = address;
  const hostKey = parsedHostKey(address.hostKey);
  const target = { host, port, user, hostKeyType: hostKey.type };
  const client = new Client();
  const socket = connect({ host, port, noDelay: true });
  let limit: NodeJS.Timeout | undefined;
  try {
    return await new Promise((resolve, reject) => {
      const notReached = (words: string) => reject(new NotReached(words));
      limit = setTimeout(
        () => notReached(`${host} port ${port} took more than ${seconds} seconds`),
        seconds * 1000,
      );
      client.on("error", (error) => {
        const words = sshErrorInWords(error, target);
        if (isRefusal(error)) reject(new Error(words));
        else notReached(words);
      });
      client.on("close", () => notReached(`${host} port ${port} broke the connection off`));
      client.on("ready", () => {
        client.exec(command, (error, channel) => {
          if (error) reject(new Error(sshErrorInWords(error, target)));
          else collect(channel, stdin).then(resolve, reject);
        });
      });
      client.connect({
        sock: socket,
        username: user,
        readyTimeout: dialSeconds * 1000,
        // Of its host keys sshd shows the one of this type, so it is this key or none.
        algorithms: { serverHostKey: [hostKey.type] },
        hostVerifier: (shown: Buffer) => shown.equals(hostKey.blob),
        authHandler: [method(login, user)],
      });
    });
  } finally {
    clearTimeout(limit);
    client.end();
    // Not left to the other side, which may never close.
    socket.destroySoon();
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

function parsedHostKey(line: string) {
  const key = ssh.utils.parseKey(bareHostKey(checkedHostKey(line)));
  if (key instanceof Error || Array.isArray(key)) {
    throw new Error("the host key in the settings cannot be read");
  }
  return { type: key.type as "ssh-ed25519", blob: key.getPublicSSH() };
}

function method(login: SshLogin, username: string): AnyAuthMethod {
  return "key" in login
    ? { type: "publickey", username, key: login.key }
    : { type: "agent", username, agent: login.agent };
}
