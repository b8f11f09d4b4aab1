import { rm } from "node:fs/promises";
import { afterAll, beforeAll } from "vitest";
import { briefFolder } from "../../dev/lab/brief-folder.ts";
import { copyLab } from "../../dev/lab/copy-lab.ts";
import { Lab } from "../../dev/lab/lab.ts";
import type { LabHost } from "../../dev/lab/lab-host.ts";
import type { Outcome } from "../../dev/lab/outcome.ts";
import { LabStack } from "../../dev/lab/stack.ts";
import { toolchain } from "../../dev/tools/toolchain.ts";
import { homeSnapshot, type Stage } from "./home-snapshot.ts";

/** A home lab to test on: throwaway hosts and the stack that configures them, through the real engine. */
export class Home {
  readonly lab: Lab;
  readonly stack: LabStack;

  constructor(lab: Lab, stack: LabStack) {
    this.lab = lab;
    this.stack = stack;
  }

  up(): Promise<Outcome> {
    return this.stack.run(["up", "--yes", "--skip-preview"]);
  }

  /** Changes a setting of the stack; inside a group of settings Pulumi takes digits for a number. */
  async set(setting: string, value: string): Promise<void> {
    await this.stack.run(["config", "set", "--path", `nixos-cache:${setting}`, value]);
  }

  /** An update that is expected to fail: what the person reads then, in which there is no stack trace. */
  async failingUp(): Promise<string> {
    const { code, stdout, stderr } = await this.stack.attempt(["up", "--yes", "--skip-preview"]);
    if (code === 0) throw new Error(`the update did not fail:\n${stdout}`);
    if (/^\s+at .*(node_modules|node:internal)/m.test(stdout + stderr)) {
      throw new Error(`the update shows a stack trace:\n${stdout}${stderr}`);
    }
    return stdout + stderr;
  }

  /** Runs a shell script as root on a host; its stdout without the last newline. */
  async on(host: string, script: string, stdin?: string): Promise<string> {
    const outcome = await this.tryOn(host, script, stdin);
    if (outcome.code !== 0) {
      throw new Error(
        `${host}: ${script}\nexit status ${outcome.code}\n${outcome.stdout}${outcome.stderr}`,
      );
    }
    return outcome.stdout.trimEnd();
  }

  /** The same, whatever its end. */
  tryOn(host: string, script: string, stdin?: string): Promise<Outcome> {
    return this.lab.exec(host, ["sh", "-c", script], stdin === undefined ? {} : { stdin });
  }

  /** The generations of the system that the host has had: one more with each rebuild. */
  async generations(host: string): Promise<number> {
    return Number(await this.on(host, "ls -d /nix/var/nix/profiles/system-*-link | wc -l"));
  }

  /** Everything on a host that our program could have changed, as text; Nix's own caches aside. */
  async snapshot(host: string): Promise<string> {
    return this.on(
      host,
      `readlink -f /run/current-system /nix/var/nix/profiles/system
       cd /etc/nixos && find . -path ./.git -prune -o -printf '%M %u %p\\n' | sort
       find . -path ./.git -prune -o -type f -print | sort | xargs sha256sum
       if [ -e .git ]; then git status --porcelain --branch; git ls-files --stage; stat -c '%a %U' .git/index; fi
       stat -c '%A %U %n' /var/lib/nixos-cache 2>&1
       ls -d /run/nixos-cache* 2>&1
       getent passwd; getent group
       cat /etc/nix/nix.conf /etc/ssh/ssh_config /etc/ssh/ssh_known_hosts 2>&1
       sshd -T -C user=nix-ssh,host=x,addr=192.0.2.9
       find /etc/ssh /root /tmp -not -path '/tmp/systemd-private*' -not -path '/root/.cache/nix/*' | sort
       systemctl list-units --state=failed --plain --no-legend`,
    );
  }
}

/**
 * Makes a home for the tests of this file, from a snapshot, and takes it away after them.
 * @param hosts the first serves, the others fetch
 * @param options.after how far it has come when the first test begins
 */
export function useHome(
  hosts: readonly (string | LabHost)[] = ["kalaw", "pai"],
  { after = "switch" }: { after?: Stage } = {},
): () => Home {
  let home: Home | undefined;
  let lab: Lab | undefined;

  beforeAll(async () => {
    const quiet = () => {};
    const tools = await toolchain(quiet);
    const snapshot = await homeSnapshot({ hosts, after, tools });
    lab = new Lab(await briefFolder("nixos-cache-"), hosts);
    await copyLab(snapshot, lab.folder);
    await lab.up(quiet);
    const stack = new LabStack(lab, tools);
    await stack.init();
    home = new Home(lab, stack);
  });

  afterAll(async () => {
    await lab?.down(() => {});
    if (lab !== undefined) await rm(lab.folder, { recursive: true, force: true });
  });

  return () => {
    if (home === undefined) throw new Error("the hosts are made before the first test");
    return home;
  };
}
