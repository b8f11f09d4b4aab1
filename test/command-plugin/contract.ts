import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { remote, types } from "@pulumi/command";
import { afterAll, afterEach, beforeAll, expect, onTestFinished } from "vitest";
import { toolchain } from "../../dev/tools/toolchain.ts";
import { Sshd } from "./sshd.ts";
import { TestStack } from "./test-stack.ts";

// The contract of the plugin: runs against our stand-in; NIXOS_CACHE_COMMAND_PLUGIN=<folder> runs it against the official plugin in it.

/** The server that commands run on; one for each test file that imports this. */
export const sshd = new Sshd();
export let env: Record<string, string> = {};
export const trace = join(sshd.folder, "trace");

beforeAll(async () => {
  ({ env } = await toolchain(() => undefined));
  process.env.PATH = env.PATH;
  await sshd.start();
});
afterAll(() => sshd.stop());
afterEach(() => rmSync(trace, { force: true }));

export type Connection = types.input.remote.ConnectionArgs;

export function connection(changes: Partial<Connection> = {}): Connection {
  return {
    host: "127.0.0.1",
    port: sshd.port,
    privateKey: sshd.privateKey("operator"),
    hostKey: sshd.publicKey("host-ed25519"),
    dialErrorLimit: 0,
    ...changes,
  };
}

/** A stack with one command "a". */
export function stackOf(
  args: Partial<remote.CommandArgs>,
  more: Record<string, string> = {},
): TestStack {
  const stack = new TestStack({ ...env, ...more });
  onTestFinished(() => stack.remove());
  stack.commands.a = { connection: connection(), addPreviousOutputInEnv: false, ...args };
  return stack;
}

/** A command that leaves a word where {@link traced} finds it. */
export const leave = (word: string) => `echo ${word} >> ${trace}`;
export const traced = () =>
  existsSync(trace) ? readFileSync(trace, "utf8").trim().split("\n") : [];

/** What the plugin says while it connects for one command; nothing when that went well. */
export async function connects(changes: Partial<Connection>, more: Record<string, string> = {}) {
  const args = { connection: connection(changes), create: "echo in", logging: "none" } as const;
  const stack = stackOf(args, more);
  const { error, messages } = await stack.run("up");
  if (!error) expect((await stack.resource("a"))?.outputs.stdout).toBe("in");
  // No word of the plugin in a failed run: it did not even start.
  else if (!messages.some((said) => said.startsWith("error"))) throw new Error(error);
  return messages;
}

export const failed = (message: string) => [`error!: after 0 failed attempts: ${message}`];
