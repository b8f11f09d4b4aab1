import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { execa, type ResultPromise } from "execa";
import { baseTree } from "../../dev/lab/base-tree.ts";
import type { Suite } from "../../dev/lab/suite.ts";
import { until } from "../../dev/lab/until.ts";
import { WorkerClient } from "./worker-client.ts";

const withRoot = fileURLToPath(new URL("../../dev/lab/with-root.sh", import.meta.url));
const filter = fileURLToPath(new URL("../../nixos/ssh-ng-filter.py", import.meta.url));

const unheard = { stdin: "ignore", stdout: "ignore", stderr: "ignore", reject: false } as const;

/** What the filter runs as; not root, so that the daemon does not trust it. */
const stranger = "65534";

/**
 * A real Nix daemon of a suite in a throwaway root, without a host around it, and the filter as sshd would start it. The
 * daemon has a substituter: what it could be made to fetch lies in `/elsewhere`.
 */
export class FilteredDaemon {
  readonly #folder: string;
  readonly #daemon: ResultPromise<typeof unheard>;
  readonly #clients: WorkerClient[] = [];

  private constructor(folder: string, daemon: ResultPromise<typeof unheard>) {
    this.#folder = folder;
    this.#daemon = daemon;
  }

  static async start(suite: Suite): Promise<FilteredDaemon> {
    const folder = await mkdtemp(join(tmpdir(), "ssh-ng-"));
    const tree = await baseTree(suite, { id: folder.split("-").at(-1) ?? "", folder }, () => {});
    const start = `
      mount --rbind /dev root/dev && mount -t proc proc root/proc && chmod 755 .
      exec chroot root sh -c '
        chmod 755 / /nix/var/nix/daemon-socket && nix-store --init
        echo "substituters = file:///elsewhere?trusted=true" >/etc/nix/nix.conf
        exec nix-daemon'`;
    const daemon = execa(
      "setpriv",
      [
        ...["--pdeathsig=KILL", "unshare", "--mount", "--propagation", "slave"],
        ...["sh", withRoot, tree, folder, "sh", "-c", start],
      ],
      unheard,
    );
    const started = new FilteredDaemon(folder, daemon);
    await until(
      async () => (await started.#in("test -S /nix/var/nix/daemon-socket/socket")).exitCode === 0,
      { seconds: 60, otherwise: "the Nix daemon does not start" },
    );
    const text = await readFile(filter, "utf8");
    for (const seconds of [1, 30]) {
      const limit = `HANDSHAKE_SECONDS = ${seconds}\n`;
      await writeFile(
        join(folder, "upper", `filter-${seconds}.py`),
        text.replace("HANDSHAKE_SECONDS = 30\n", limit),
      );
    }
    await started.sh(
      `printf '#!/bin/sh\\nexec setpriv --reuid=${stranger} --clear-groups ${program(30).join(" ")}\\n' >/filter && chmod 755 /filter`,
    );
    return started;
  }

  /** Runs a shell text as root beside the daemon. @returns its standard output, trimmed */
  async sh(script: string): Promise<string> {
    const { exitCode, stdout, stderr } = await this.#in(script);
    if (exitCode !== 0) throw new Error(`${script}\nexit status ${exitCode}\n${stderr}`);
    return stdout.trim();
  }

  /** The same, whatever its end; both outputs in one. */
  async attempt(script: string): Promise<{ code: number | undefined; said: string }> {
    const { exitCode, all } = await this.#in(script);
    return { code: exitCode, said: all };
  }

  /** Starts the filter; the client speaks to it by hand. */
  client({ handshakeSeconds = 30 } = {}): WorkerClient {
    const [command = "", ...args] = this.#enter(`--userspec=${stranger}`);
    const client = new WorkerClient(spawn(command, [...args, ...program(handshakeSeconds)]));
    this.#clients.push(client);
    return client;
  }

  async stop(): Promise<void> {
    for (const client of this.#clients) client.kill();
    this.#daemon.kill();
    await this.#daemon;
    await rm(this.#folder, { recursive: true, force: true });
  }

  #enter(...options: string[]): string[] {
    const namespace = `--mount=/proc/${this.#daemon.pid}/ns/mnt`;
    return ["nsenter", namespace, "chroot", ...options, join(this.#folder, "root")];
  }

  #in(script: string) {
    const [command = "", ...args] = this.#enter();
    return execa(command, [...args, "sh", "-c", script], {
      stdin: "ignore",
      all: true,
      reject: false,
      env: { HOME: "/root" },
    });
  }
}

/** As module.nix starts it, but for the time that a handshake has. */
function program(handshakeSeconds: number): string[] {
  const python = ["python3", "-I", "-S", "-B"];
  return ["prlimit", "--as=2147483648", ...python, `/filter-${handshakeSeconds}.py`];
}
