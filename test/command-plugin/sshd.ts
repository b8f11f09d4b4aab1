import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { opensshServer } from "./openssh-server.ts";

/** The password of root at the test server, and only there. */
export const password = "only-for-the-test-sshd";

/** A login at the test server that may write nothing but its home. */
const guest = { name: "guest", id: 65532 };

/** One real sshd in a mount namespace of its own, which logs in root by key or password, and guest by key. */
export class Sshd {
  readonly address: string;
  readonly #enter: string[];
  readonly #sftp: string;
  readonly folder = mkdtempSync(join(tmpdir(), "command-plugin-sshd-"));
  /** The home of guest. */
  readonly home = join(this.folder, "home");
  port = 0;
  /** Everything it logged, a line each. */
  readonly log: string[] = [];
  #process: ChildProcess | undefined;

  /**
   * @param enter what to put before a command so that it runs in the network of `address`
   * @param sftp the program that answers SFTP; empty: the server has none
   */
  constructor(address = "127.0.0.1", enter: string[] = [], sftp = "internal-sftp") {
    this.address = address;
    this.#enter = enter;
    this.#sftp = sftp;
  }

  async start(): Promise<void> {
    const server = await opensshServer();
    for (const type of ["ed25519", "ecdsa", "rsa"]) this.#keygen(`host-${type}`, type);
    this.#keygen("operator", "ed25519");
    this.#keygen("operator-ecdsa", "ecdsa");
    this.#keygen("operator-locked", "ed25519", "correct horse");
    this.#keygen("stranger", "ed25519");
    const authorized = ["operator", "operator-ecdsa", "operator-locked"];
    this.#write("authorized_keys", authorized.map((name) => this.publicKey(name)).join("\n"));
    const hash = execFileSync("openssl", ["passwd", "-6", "-stdin"], { input: password });
    // Guest has to reach its home, and sshd the keys as guest.
    chmodSync(this.folder, 0o755);
    mkdirSync(this.home);
    chownSync(this.home, guest.id, guest.id);
    this.#write(
      "passwd",
      `${readFileSync("/etc/passwd")}sshd:x:65533:65534::/run/sshd:/bin/false
${guest.name}:x:${guest.id}:${guest.id}::${this.home}:/bin/sh\n`,
    );
    this.#write("shadow", `root:${hash.toString().trim()}:19000:0:99999:7:::\n`);
    this.port = await freePort();
    this.#write("config", this.#config());
    const script = `set -eu
      umask 022
      mount --make-rprivate /
      mount -t overlay -o "lowerdir=$1/usr:/usr" overlay /usr
      mount --bind "$2/passwd" /etc/passwd
      mount --bind "$2/shadow" /etc/shadow
      mount -t tmpfs tmpfs /run
      mkdir -m 755 /run/sshd
      exec /usr/sbin/sshd -D -e -f "$2/config"`;
    const argv = ["--mount", "sh", "-c", script, "sh", server, this.folder];
    const [command = "", ...args] = [...this.#enter, "unshare", ...argv];
    this.#process = spawn(command, args, { stdio: ["ignore", "ignore", "pipe"] });
    const lines = createInterface({ input: this.#process.stderr as NodeJS.ReadableStream });
    await new Promise<void>((resolve, reject) => {
      lines.on("line", (line) => {
        this.log.push(line);
        if (line.startsWith("Server listening on")) resolve();
      });
      this.#process?.on("exit", () => reject(new Error(`sshd ended:\n${this.log.join("\n")}`)));
    });
  }

  async stop(): Promise<void> {
    if (this.#process?.exitCode === null) {
      this.#process.kill();
      await once(this.#process, "exit");
    }
    rmSync(this.folder, { recursive: true, force: true });
  }

  privateKey(name: string): string {
    return readFileSync(join(this.folder, name), "utf8");
  }

  publicKey(name: string): string {
    return readFileSync(join(this.folder, `${name}.pub`), "utf8").trim();
  }

  #config(): string {
    const hostKeys = ["ed25519", "ecdsa", "rsa"].map(
      (type) => `HostKey ${this.folder}/host-${type}`,
    );
    return [
      ...hostKeys,
      `ListenAddress ${this.address}:${this.port}`,
      `AuthorizedKeysFile ${this.folder}/authorized_keys`,
      "PidFile none",
      "StrictModes no",
      "UsePAM no",
      "PermitRootLogin yes",
      "PasswordAuthentication yes",
      "KbdInteractiveAuthentication no",
      "MaxStartups 100",
      "LogLevel VERBOSE",
      "AcceptEnv GREETING",
      this.#sftp && `Subsystem sftp ${this.#sftp}`,
      `Match User ${guest.name}`,
      "AllowTcpForwarding no",
      "",
    ].join("\n");
  }

  #keygen(name: string, type: string, passphrase = ""): void {
    const file = join(this.folder, name);
    execFileSync("ssh-keygen", ["-q", "-t", type, "-N", passphrase, "-C", name, "-f", file]);
  }

  #write(name: string, text: string): void {
    writeFileSync(join(this.folder, name), text, { mode: name === "shadow" ? 0o600 : 0o644 });
  }
}

/** A port that nothing listens on. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, "close");
  return port;
}
