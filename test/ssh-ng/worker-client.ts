import type { ChildProcessWithoutNullStreams } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";

/** A number as Nix's worker protocol writes it: eight bytes, the low ones first. */
export function number(value: number | bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}

/** A string: its length, its bytes, zeros up to a multiple of eight. */
export function string(text: string): Buffer {
  const bytes = Buffer.from(text);
  return Buffer.concat([number(bytes.length), bytes, Buffer.alloc(-bytes.length & 7)]);
}

export const magic = {
  client: 0x6e697863,
  daemon: 0x6478696f,
  last: 0x616c7473,
  startActivity: 0x53545254,
  stopActivity: 0x53544f50,
  error: 0x63787470,
};

/** What Nix sends in a handshake once it knows the daemon's version, which here is never one with features. */
export const hello = Buffer.concat([number(0x126), number(0), number(0)]);

/** Speaks Nix's worker protocol by hand to a program's standard input and output. */
export class WorkerClient {
  readonly process: ChildProcessWithoutNullStreams;
  readonly #ended: Promise<unknown>;
  #unread: Buffer[] = [];
  #unreadBytes = 0;
  #heard: () => void = () => {};
  #hasEnded = false;
  /** What it has written to standard error. */
  words = "";

  constructor(process: ChildProcessWithoutNullStreams) {
    this.process = process;
    process.stdout.on("data", (chunk) => {
      this.#unread.push(chunk);
      this.#unreadBytes += chunk.length;
      this.#heard();
    });
    process.stderr.on("data", (chunk) => {
      this.words += chunk;
    });
    // It may end while we write.
    process.stdin.on("error", () => {});
    this.#ended = once(process, "close").then(() => {
      this.#hasEnded = true;
      this.#heard();
    });
  }

  send(...parts: Buffer[]): void {
    this.process.stdin.write(Buffer.concat(parts));
  }

  /** The client's end of the connection. */
  close(): void {
    this.process.stdin.end();
  }

  kill(): void {
    this.process.kill("SIGKILL");
  }

  /** Waits until it ends. @returns what it has said that was not read */
  async rest(): Promise<Buffer> {
    await this.#ended;
    return Buffer.concat(this.#unread);
  }

  /** @throws when it ends before */
  async bytes(count: number): Promise<Buffer> {
    while (this.#unreadBytes < count) {
      if (this.#hasEnded) throw new Error(`it ended: ${this.words}`);
      await new Promise<void>((resolve) => {
        this.#heard = resolve;
      });
    }
    this.#unreadBytes -= count;
    const parts: Buffer[] = [];
    for (let missing = count; missing > 0; missing -= parts.at(-1)?.length ?? missing) {
      const first = this.#unread.shift() ?? Buffer.alloc(0);
      parts.push(first.subarray(0, missing));
      if (first.length > missing) this.#unread.unshift(first.subarray(missing));
    }
    return Buffer.concat(parts);
  }

  /** The SHA-256 of the next bytes, in hex. */
  async sha256(count: number): Promise<string> {
    const hash = createHash("sha256");
    for (let left = count; left > 0; left -= 65_536)
      hash.update(await this.bytes(Math.min(left, 65_536)));
    return hash.digest("hex");
  }

  async number(): Promise<number> {
    return Number((await this.bytes(8)).readBigUInt64LE());
  }

  async string(): Promise<string> {
    const length = await this.number();
    return (await this.bytes(length + (-length & 7))).toString("utf8", 0, length);
  }

  /** Reads up to the end of what the daemon says of its work, before an answer. */
  async answerBegins(): Promise<void> {
    for (;;) {
      const kind = await this.number();
      if (kind === magic.last) return;
      if (kind === magic.startActivity) {
        await this.bytes(24);
        await this.string();
        if ((await this.number()) > 0) throw new Error("fields of an activity");
        await this.number();
      } else if (kind === magic.stopActivity) await this.number();
      else throw new Error(`no answer, but 0x${kind.toString(16)}`);
    }
  }

  /** @returns the version that it says it has, and the daemon's Nix */
  async greet(): Promise<{ version: number; nix: string }> {
    this.send(number(magic.client));
    if ((await this.number()) !== magic.daemon) throw new Error("no daemon");
    const version = await this.number();
    this.send(hello);
    const nix = await this.string();
    await this.number();
    if ((await this.number()) !== magic.last) throw new Error("no end of the handshake");
    return { version, nix };
  }

  /** The words of the protocol's error, which comes next and ends the connection. */
  async refusal(): Promise<string> {
    if ((await this.number()) !== magic.error) throw new Error("no error");
    await this.string();
    await this.number();
    await this.string();
    const words = await this.string();
    await this.bytes(16);
    const rest = await this.rest();
    if (rest.length > 0) throw new Error(`more after the error: ${rest.toString("hex")}`);
    return words;
  }
}
