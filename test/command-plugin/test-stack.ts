import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join, resolve } from "node:path";
import { stripVTControlCharacters } from "node:util";
import { remote } from "@pulumi/command";
import type { CustomResourceOptions } from "@pulumi/pulumi";
import { type EngineEvent, LocalWorkspace, type Stack } from "@pulumi/pulumi/automation/index.js";
import { execa } from "execa";

/** The folder of the plugin under test: the official one's, or by default our stand-in's. */
export const pluginFolder = resolve(
  process.env.NIXOS_CACHE_COMMAND_PLUGIN ?? join(import.meta.dirname, "../../dev/command-stand-in"),
);

export interface Result {
  /** The engine's whole answer on failure; empty on success. */
  error: string;
  /** The text of `pulumi`, without colours. */
  text: string;
  /** What the plugin said about its resource, "severity: message", a lasting one marked with "!". */
  messages: string[];
  /** Operations of the plugin's resources, in order, as the engine names them: "create a". */
  steps: string[];
}

type Verb = "up" | "preview" | "refresh" | "destroy";

/** A stack of remote.Commands and remote.CopyToRemotes on a local backend with a passphrase, run by the real engine. */
export class TestStack {
  readonly commands: Record<string, remote.CommandArgs> = {};
  readonly copies: Record<string, remote.CopyToRemoteArgs> = {};
  /** Resource options of every command and copy. */
  options: CustomResourceOptions = {};
  /** Inputs of a command that come from those made before it. */
  derive: (made: Record<string, remote.Command>) => Partial<remote.CommandArgs> = () => ({});
  readonly #home = mkdtempSync(join(tmpdir(), "command-plugin-stack-"));
  readonly #env: Record<string, string>;
  #stack: Stack | undefined;

  constructor(env: Record<string, string>) {
    this.#env = env;
  }

  async run(verb: Verb, signal?: AbortSignal): Promise<Result> {
    const stack = await this.stack();
    const result: Result = { error: "", text: "", messages: [], steps: [] };
    const options = {
      color: "never" as const,
      suppressProgress: true,
      onOutput: (text: string) => {
        result.text += text;
      },
      onEvent: (event: EngineEvent) => note(event, result),
      ...(verb === "preview" ? { diff: true } : {}),
      ...(signal ? { signal } : {}),
    };
    try {
      await stack[verb](options);
    } catch (error) {
      result.error = (error as Error).message;
    }
    return result;
  }

  /** The state as it lies on disk: secrets are cipher text. */
  state(): string {
    return readFileSync(join(this.#home, ".pulumi/stacks/contract/test.json"), "utf8");
  }

  /** What the state holds of a command or copy, secrets decrypted. */
  async resource(name: string): Promise<StateResource | undefined> {
    const stack = await this.stack();
    const { stdout } = await execa(
      "pulumi",
      ["stack", "export", "--show-secrets", "--stack", stack.name],
      { cwd: stack.workspace.workDir, env: stack.workspace.envVars },
    );
    const { resources = [] } = JSON.parse(stdout).deployment as { resources?: StateResource[] };
    return resources.find(
      ({ urn }) => urn.includes("::command:remote:") && urn.endsWith(`::${name}`),
    );
  }

  remove(): void {
    rmSync(this.#home, { recursive: true, force: true });
  }

  async stack(): Promise<Stack> {
    this.#stack ??= await LocalWorkspace.createOrSelectStack(
      {
        stackName: "test",
        projectName: "contract",
        program: async () => {
          const made: Record<string, remote.Command> = {};
          for (const [name, args] of Object.entries(this.commands)) {
            const derived = Object.keys(made).length > 0 ? this.derive(made) : {};
            made[name] = new remote.Command(name, { ...args, ...derived }, this.options);
          }
          for (const [name, args] of Object.entries(this.copies)) {
            new remote.CopyToRemote(name, args, this.options);
          }
        },
      },
      {
        workDir: this.#home,
        envVars: {
          ...this.#env,
          PATH: [pluginFolder, this.#env.PATH ?? process.env.PATH].join(delimiter),
          PULUMI_BACKEND_URL: `file://${this.#home}`,
          PULUMI_CONFIG_PASSPHRASE: "contract",
          PULUMI_HOME: this.#home,
          SSH_AUTH_SOCK: this.#env.SSH_AUTH_SOCK ?? "",
        },
      },
    );
    return this.#stack;
  }
}

export interface StateResource {
  urn: string;
  id: string;
  inputs: Record<string, unknown>;
  outputs: Record<string, unknown>;
}

function note(event: EngineEvent, result: Result): void {
  const { diagnosticEvent: said, resourcePreEvent: step } = event;
  if (said?.urn?.includes("::command:remote:") && `${said.severity}` !== "debug") {
    const message = `${said.severity}${said.ephemeral ? "" : "!"}: ${said.message}`;
    result.messages.push(
      stripVTControlCharacters(message)
        .replace(/<\{%[a-z]+%\}>/g, "")
        .trimEnd(),
    );
  }
  const name = step?.metadata.urn.split("::").at(-1);
  if (step?.metadata.type.startsWith("command:remote:")) {
    result.steps.push(`${step.metadata.op} ${name}`);
  }
}
