import { z } from "zod";
import { checkOperatorLogin } from "../config/operator-login.ts";
import { parseStackConfig, type StackConfig } from "../config/stack-config.ts";
import { type SshLogin, sshLogin } from "../machine/ssh-login.ts";
import { pulumi } from "./pulumi.ts";

/** The stack that the current folder has selected. */
export interface Stack {
  /** organization/project/stack */
  name: string;
  settings: StackConfig;
  login: SshLogin;
  keys: Keys;
}

const created = z.looseObject({ keyCreated: z.string().optional() });
const outputs = z.looseObject({
  servers: z
    .record(z.string(), created.extend({ trustedPublicKey: z.string().optional() }))
    .default({}),
  clients: z.record(z.string(), created).default({}),
});

/** What the last `up` has put out of each machine's key; nothing of one that it did not come to. */
export type Keys = z.infer<typeof outputs>;

const config = z.record(z.string(), z.looseObject({ value: z.string(), secret: z.boolean() }));

/**
 * Reads the stack by the Pulumi CLI. Secrets stay in this process.
 * @throws PulumiError, ConfigError
 */
export async function readStack(): Promise<Stack> {
  const [name, { settings, login }, keys] = await Promise.all([
    readStackName(),
    readSettings(),
    readKeys(),
  ]);
  return { name, settings, login: login(), keys };
}

/** organization/project/stack, as `components/owner.ts` has it. */
export async function readStackName(): Promise<string> {
  return (await pulumi(["stack", "--show-name", "--fully-qualify-stack-names"])).trim();
}

/** The settings, checked; the login is for the caller to check, by `login`. */
export async function readSettings(): Promise<{ settings: StackConfig; login: () => SshLogin }> {
  const values = config.parse(
    JSON.parse((await pulumi(["config", "--json", "--show-secrets"])) || "{}"),
  );
  const entries = Object.entries(values);
  const settings = parseStackConfig(
    Object.fromEntries(entries.map(([key, { value }]) => [key, value])),
  );
  const login = () => {
    checkOperatorLogin(settings, {
      secretSettings: entries.flatMap(([key, { secret }]) => (secret ? [key] : [])),
      agentVariable: process.env.SSH_AUTH_SOCK,
    });
    return sshLogin(settings);
  };
  return { settings, login };
}

export async function readKeys(): Promise<Keys> {
  return outputs.parse(JSON.parse((await pulumi(["stack", "output", "--json"])) || "{}"));
}
