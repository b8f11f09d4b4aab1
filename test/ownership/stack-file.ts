import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Home } from "../system/home.ts";

/** The settings of a stack, as in its stack file, without the prefix `nixos-cache:`. */
export type Settings = Record<string, unknown> & {
  servers: Record<string, object>;
  clients: Record<string, object>;
};

/** How the operator reaches a host: a machine's setting `connection`. */
export async function connectionTo({ lab }: Home, host: string) {
  return { host: lab.address(host), user: "root", hostKey: await lab.hostKey(host) };
}

/** A host as a server, under the host's own name. */
export async function asServer(home: Home, host: string) {
  return { connection: await connectionTo(home, host), address: host };
}

/** A host as a client of these servers. */
export async function asClient(home: Home, host: string, servers: readonly string[]) {
  return { connection: await connectionTo(home, host), servers };
}

/** Writes these settings to the stack file, as its owner would with an editor; the operator's key stays. */
export async function writeStackFile(
  { stack }: Home,
  settings: Settings,
  name = "lab",
): Promise<void> {
  const file = join(stack.folder, `Pulumi.${name}.yaml`);
  const before = await readFile(file, "utf8");
  const [, secure] = /secure"?: ?"?([^\s"}]+)/.exec(before) ?? [];
  const [, salt] = /encryptionsalt: (\S+)/.exec(before) ?? [];
  if (secure === undefined || salt === undefined) throw new Error(`${file} has no secrets`);
  // YAML takes JSON for a value.
  const all = Object.entries({ ...settings, privateKey: { secure } });
  const lines = all.map(([name, value]) => `  nixos-cache:${name}: ${JSON.stringify(value)}\n`);
  await writeFile(file, `config:\n${lines.join("")}encryptionsalt: ${salt}\n`);
}
