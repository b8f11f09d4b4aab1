import { randomBytes } from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join, relative } from "node:path";
import type { Lab } from "../../lab/lab.ts";
import { outcome } from "../../lab/outcome.ts";
import { cacheFolder } from "../../tools/cache-folder.ts";
import type { Toolchain } from "../../tools/toolchain.ts";
import type { Renewal, Tool } from "../tool.ts";
import { HandMadeKeys } from "./hand-made-keys.ts";

const program = join(import.meta.dirname, "by-hand");

/** The Pulumi program in `by-hand/`, under the same engine and plugin as ours. */
export class ByHand implements Tool {
  readonly name = "by hand";
  readonly #lab: Lab;
  readonly #folder: string;
  readonly #keys: HandMadeKeys;
  readonly #env: Record<string, string | undefined>;

  constructor(lab: Lab, toolchain: Toolchain) {
    this.#lab = lab;
    this.#folder = join(lab.folder, "by-hand");
    this.#keys = new HandMadeKeys(join(this.#folder, "keys"), lab.hosts);
    this.#env = {
      ...toolchain.env,
      PULUMI_BACKEND_URL: `file://${join(this.#folder, "state")}`,
      PULUMI_CONFIG_PASSPHRASE_FILE: join(this.#folder, "passphrase"),
      // Of a stack of the caller's own, it would go before the file.
      PULUMI_CONFIG_PASSPHRASE: undefined,
      PULUMI_STACK: "bench",
      // All clients at once: there is one login on each machine.
      PULUMI_PARALLEL: String(Math.max(10, lab.hosts.length - 1)),
      // As our own has it.
      NODE_COMPILE_CACHE: join(cacheFolder(), "node-compile"),
    };
  }

  async init(): Promise<void> {
    await mkdir(join(this.#folder, "state"), { recursive: true });
    const project = await readFile(join(program, "Pulumi.yaml"), "utf8");
    const main = relative(this.#folder, join(program, "index.ts"));
    await writeFile(
      join(this.#folder, "Pulumi.yaml"),
      project.replace(/^main: .*$/m, `main: ${main}`),
    );
    await writeFile(join(this.#folder, "passphrase"), randomBytes(24).toString("base64"), {
      mode: 0o600,
    });
    const [server, ...clients] = await Promise.all(
      this.#lab.hosts.map(async (name) => ({
        name,
        host: this.#lab.address(name),
        hostKey: await this.#lab.hostKey(name),
      })),
    );
    const config = {
      "by-hand:operatorKey": this.#lab.operatorKeyFile,
      "by-hand:keys": this.#keys.folder,
      "by-hand:server": server,
      "by-hand:clients": clients,
    };
    // JSON is YAML.
    await writeFile(join(this.#folder, "Pulumi.bench.yaml"), JSON.stringify({ config }));
    await this.#pulumi("stack", "init", "bench");
    await this.#keys.renew("all");
  }

  renew(which: Renewal): Promise<void> {
    return this.#keys.renew(which);
  }

  deploy(): Promise<void> {
    return this.#pulumi("up", "--yes", "--skip-preview");
  }

  destroy(): Promise<void> {
    return this.#pulumi("destroy", "--yes", "--skip-preview");
  }

  async #pulumi(...args: string[]): Promise<void> {
    const { code, stdout, stderr } = await outcome([...this.#lab.enter, "pulumi", ...args], {
      cwd: this.#folder,
      env: this.#env,
    });
    if (code !== 0) {
      throw new Error(`by hand: pulumi ${args.join(" ")} failed.\n${stdout}${stderr}`);
    }
  }
}
