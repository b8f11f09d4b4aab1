import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect } from "vitest";
import { Lab } from "../../dev/lab/lab.ts";
import type { Outcome } from "../../dev/lab/outcome.ts";
import { login } from "../lab/login.ts";

const host = "inle";

/** A lab with one host that lives as long as the tests of the file which calls this. */
export interface StandInHost {
  /** Runs a shell text on the host as root, as a login over SSH would have it. */
  sh(script: string): Promise<Outcome>;
  /** The same, for what must succeed. @returns its standard output, trimmed. */
  ok(script: string): Promise<string>;
  reboot(): Promise<void>;
  /** Pulls the plug, and turns it on again. */
  powerCycle(): Promise<void>;
  /** Whether the operator can log in as root. */
  letsIn(): Promise<boolean>;
}

export function standInHost(): StandInHost {
  let lab: Lab;
  beforeAll(async () => {
    lab = new Lab(await mkdtemp(join(tmpdir(), "nixos-stand-in-")), [host]);
    await lab.up(() => {});
  });
  afterAll(() => lab.down(() => {}));

  const sh = (script: string) =>
    lab.exec(host, ["sh", "-c", 'set -e; eval "$(cat)"'], { stdin: script });
  return {
    sh,
    async ok(script) {
      const { code, stdout, stderr } = await sh(script);
      expect(code, `${script}\n${stderr}`).toBe(0);
      return stdout.trim();
    },
    reboot: () => lab.reboot(host),
    async powerCycle() {
      await lab.powerOff(host);
      await lab.powerOn(host);
    },
    letsIn: async () => (await login(lab, host, "true")).code === 0,
  };
}
