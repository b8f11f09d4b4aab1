import type { Client, SFTPWrapper, Stats } from "ssh2";
import { quote } from "./quote.ts";

type Answer<T> = (error?: Error | null, value?: T) => void;

/** Files on a machine over SFTP. What fails is told in the words of the official plugin. */
export class Sftp {
  readonly #session: SFTPWrapper;
  #isLost = false;

  private constructor(session: SFTPWrapper) {
    this.#session = session;
    const lost = () => {
      this.#isLost = true;
    };
    session.on("end", lost);
    session.on("close", lost);
    session.on("error", lost);
  }

  static open(client: Client): Promise<Sftp> {
    return new Promise((resolve, reject) => {
      client.sftp((error, session) => {
        if (!error) return resolve(new Sftp(session));
        reject(new Error(openingMessage(error), { cause: error }));
      });
    });
  }

  /** What is there; undefined: nothing. Follows symbolic links. */
  async stat(path: string): Promise<"folder" | "file" | undefined> {
    try {
      const stats = await this.#ask<Stats>((answer) => this.#session.stat(path, answer));
      return stats.isDirectory() ? "folder" : "file";
    } catch (error) {
      if (codeOf(error) === noSuchFile) return undefined;
      throw new Error(`failed to stat remote path ${path}: ${(error as Error).message}`, {
        cause: error,
      });
    }
  }

  mkdir(path: string): Promise<void> {
    return this.#ask((answer) => this.#session.mkdir(path, answer));
  }

  /** Makes the folder and those above it, with the modes that the server's umask leaves. */
  async mkdirAll(path: string): Promise<void> {
    const found = await this.stat(path).catch(() => undefined);
    if (found === "folder") return;
    if (found === "file") throw new Error(`mkdir ${path}: not a directory`);
    const above = path.replace(/\/+$/, "").replace(/[^/]*$/, "");
    if (above.length > 1) await this.mkdirAll(above.slice(0, -1));
    try {
      await this.mkdir(path);
    } catch (error) {
      const stats = this.#ask<Stats>((answer) => this.#session.lstat(path, answer));
      if (!(await stats.catch(() => undefined))?.isDirectory()) throw error;
    }
  }

  /** Empties the file that is there, or makes one, and hands it to `write`. */
  async create(path: string, write: (file: Buffer) => Promise<void>): Promise<void> {
    const file = await this.#ask<Buffer>((answer) => this.#session.open(path, "w+", answer)).catch(
      (error: Error) => {
        throw new Error(`failed to create remote file ${path}: ${error.message}`, { cause: error });
      },
    );
    try {
      await write(file);
    } finally {
      await this.#ask<void>((answer) => this.#session.close(file, answer)).catch(() => undefined);
    }
  }

  write(file: Buffer, data: Buffer): Promise<void> {
    return this.#ask((answer) => this.#session.write(file, data, 0, data.length, 0, answer));
  }

  #ask<T>(send: (answer: Answer<T>) => void): Promise<T> {
    return new Promise((resolve, reject) => {
      // ssh2 answers what is under way when the connection ends, but nothing that is asked later.
      if (this.#isLost) return reject(new Error("connection lost"));
      send((error, value) => {
        if (error) reject(new Error(statusMessage(error), { cause: error }));
        else resolve(value as T);
      });
    });
  }
}

const noSuchFile = 2;
const statuses: Record<number, string> = {
  4: "SSH_FX_FAILURE",
  5: "SSH_FX_BAD_MESSAGE",
  6: "SSH_FX_NO_CONNECTION",
  7: "SSH_FX_CONNECTION_LOST",
  8: "SSH_FX_OP_UNSUPPORTED",
};

/** The status that the server answered with; undefined where it did not answer. */
function codeOf(error: unknown): number | undefined {
  const { code } = ((error as Error).cause ?? error) as { code?: unknown };
  return typeof code === "number" ? code : undefined;
}

function statusMessage(error: Error): string {
  const code = codeOf(error);
  if (code === undefined) return "connection lost";
  if (code === 1) return "EOF";
  if (code === noSuchFile) return "file does not exist";
  if (code === 3) return "permission denied";
  return `sftp: ${quote(error.message)} (${statuses[code] ?? "unknown"})`;
}

function openingMessage({ message }: Error): string {
  if (/^Unable to start subsystem/.test(message)) return "ssh: subsystem request failed";
  const reason = /while establishing|unexpected SFTP session termination/.test(message)
    ? "server unexpectedly closed connection: unexpected EOF"
    : message;
  return `error receiving version packet from server: ${reason}`;
}
