import { z } from "zod";
import {
  agentSocket,
  clientKey,
  connection,
  expected,
  gone,
  hostKey,
  hostName,
  jump,
  machineOptions,
  mayBeOff,
  onlyOurKeys,
  otherClientName,
  port,
  priority,
  protocol,
  rebuild,
  rotation,
  trustedPublicKey,
  warm,
} from "../machine/argument-schemas.ts";
import { ConfigError, namespace } from "./config-error.ts";
import { mistakesBetweenMachines } from "./mistakes-between-machines.ts";

// The host name of a machine, and the first part of resource and key names: one label of RFC 1123, lower case.
const noMachineName =
  "is no valid host name: write 1 to 63 of a-z, 0-9 and -, with no - at either end";
const machineName = z.string().regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/, noMachineName);

// At the top, Pulumi hands over every value as text.
const yesOrNo = z
  .enum(["true", "false"], { error: "is neither true nor false: write one of them" })
  .transform((text) => text === "true");

const noStack =
  "is no name of a stack: write organization/project/stack, as `pulumi stack ls` and `pulumi whoami` say";
const stack = z.string({ error: noStack }).regex(/^[\w.-]+\/[\w.-]+\/[\w.-]+$/, noStack);

/** A client of another stack: its keys, or the stack that puts them out. */
const noOtherClient =
  "is no client of another stack: write { stack: organization/project/stack }, the line of its public key, ssh-ed25519 AAAA…, or a list of lines";
const otherClient = z.union(
  [clientKey, z.array(clientKey).min(1, noOtherClient), z.strictObject({ stack })],
  { error: noOtherClient },
);

/** A server of another stack: that stack, or what it puts out. */
const otherServer = z
  .strictObject(
    {
      stack: stack.optional(),
      address: hostName.optional(),
      port: port.optional(),
      hostKey: hostKey.optional(),
      trustedPublicKey: trustedPublicKey.optional(),
    },
    { error: "is no group of settings: write { stack: organization/project/stack }" },
  )
  .superRefine(({ stack, ...data }, context) => {
    const needed = stack === undefined ? (["hostKey", "trustedPublicKey"] as const) : [];
    for (const setting of needed.filter((setting) => data[setting] === undefined)) {
      const message = "is missing: write it as the server's stack puts it out, or write that stack";
      context.addIssue({ code: "custom", path: [setting], message });
    }
    for (const [setting, value] of Object.entries(stack === undefined ? {} : data)) {
      if (value === undefined) continue;
      const message = "comes from the stack: take it out, or take stack out";
      context.addIssue({ code: "custom", path: [setting], message });
    }
  });

const server = z.strictObject(
  {
    connection,
    address: hostName.optional(),
    port: port.optional(),
    rotation: rotation.optional(),
    onlyOurKeys: onlyOurKeys.optional(),
    otherClients: z
      .record(otherClientName, otherClient, {
        error: "is no group of clients: write laptop: ssh-ed25519 AAAA…",
      })
      .optional(),
    warm: warm.optional(),
    ...machineOptions,
  },
  { error: "is no group of settings: write { connection: { host: …, hostKey: … } }" },
);

const client = z.strictObject(
  {
    connection,
    servers: z
      .array(z.string({ error: "is no text: write the name of a server" }), {
        error: expected("is no list", "write the names of its servers, like [kalaw]"),
      })
      .min(1, "is empty: write the names of its servers, like [kalaw]"),
    priority: priority.optional(),
    protocol: protocol.optional(),
    rotation: rotation.optional(),
    gone: gone.optional(),
    mayBeOff: mayBeOff.optional(),
    ...machineOptions,
  },
  { error: "is no group of settings: write { connection: {…}, servers: [kalaw] }" },
);

const stackConfig = z.strictObject({
  // A group of settings comes as its JSON.
  rotation: rotation
    .refine((text) => !/^\s*[{[]/.test(text), "is no text: write any word or number, like 2")
    .default("1"),
  rotateEvery: z
    .string({ error: "is no text: write a number of days, like 90d" })
    .regex(/^[1-9][0-9]{0,4}d$/, "is no period: write a number of days, like 90d")
    .optional(),
  observe: yesOrNo.default(true),
  plan: yesOrNo.default(false),
  agentSocket: agentSocket.optional(),
  privateKey: z.string().optional(),
  privateKeyPassword: z.string().optional(),
  servers: z.record(machineName, server, {
    error: expected(
      "is no group of servers",
      "write kalaw: { connection: { host: …, hostKey: … } }",
    ),
  }),
  otherServers: z
    .record(machineName, otherServer, {
      error: "is no group of servers: write kalaw: { stack: organization/project/stack }",
    })
    .default({}),
  clients: z
    .record(machineName, client, {
      error: "is no group of clients: write pai: { connection: {…}, servers: [kalaw] }",
    })
    .default({}),
});

// In a program each value has its own type.
const flag = z.boolean({ error: "is neither true nor false: write one of them, and no text" });
const programConfig = stackConfig
  .omit({ privateKey: true, privateKeyPassword: true })
  .extend({ observe: flag.default(true), plan: flag.default(false) });

/** The stack's settings, checked. `privateKey` and its password are left to `pulumi.Config`, as secrets. */
export type StackConfig = z.infer<typeof stackConfig>;

/**
 * Parses the settings of a stack.
 * @param settings every setting of the stack as Pulumi hands it over: `nixos-cache:name` → text or JSON
 *   (`pulumi.runtime.allConfig`); those of other namespaces are none of ours
 * @throws ConfigError with a line for every mistake
 */
export function parseStackConfig(settings: Record<string, string>): StackConfig {
  const ours = Object.entries(settings).flatMap(([key, text]) =>
    key.startsWith(`${namespace}:`) ? [[key.slice(namespace.length + 1), text] as const] : [],
  );
  const values: Record<string, unknown> = Object.fromEntries(
    ours.map(([key, text]) => [key, structured.has(key) ? fromJson(text) : text]),
  );
  return parse(stackConfig, values);
}

/**
 * The same for settings that are the arguments of a component. The operator's login is none of them.
 * @throws ConfigError with a line for every mistake
 */
export function parseProgramConfig(
  values: Record<string, unknown>,
): Omit<StackConfig, "privateKey" | "privateKeyPassword"> {
  return parse(programConfig, values);
}

function parse<
  Config extends Pick<StackConfig, "servers" | "otherServers" | "clients" | "observe">,
>(schema: z.ZodType<Config>, values: Record<string, unknown>): Config {
  // All servers may be in other stacks.
  if (values.otherServers !== undefined) values.servers ??= {};
  const parsed = schema.safeParse(values);
  const mistakes = [
    ...namesThatAreDropped(values),
    ...(parsed.success ? mistakesBetweenMachines(parsed.data) : describeEach(parsed.error.issues)),
  ];
  if (mistakes.length > 0 || !parsed.success) {
    throw new ConfigError(mistakes.join("\n"));
  }
  return parsed.data;
}

const structured = new Set(["servers", "otherServers", "clients"]);

/** Structured settings are JSON; what is no JSON stays text, and the schema says what was expected. */
function fromJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** The one name that zod leaves out of a group of machines without a word. */
function namesThatAreDropped(values: Record<string, unknown>): string[] {
  return [...structured].flatMap((group) => {
    const machines = values[group];
    return typeof machines === "object" && machines !== null && Object.hasOwn(machines, "__proto__")
      ? [`${namespace}:${group}.__proto__ ${noMachineName}`]
      : [];
  });
}

/** What is wrong with each setting, once: several issues of one value are one mistake. */
function describeEach(issues: z.core.$ZodIssue[]): string[] {
  const mistakes = new Map<string, string>();
  for (const issue of issues) {
    for (const [setting, words] of describe(issue)) {
      if (!mistakes.has(setting)) mistakes.set(setting, `${setting} ${words}`);
    }
  }
  return [...mistakes.values()];
}

/** zod's issues in words: `nixos-cache:servers.kalaw.connection.hostKey`, and `is missing: write …`. */
function describe(issue: z.core.$ZodIssue): [setting: string, words: string][] {
  switch (issue.code) {
    case "unrecognized_keys":
      return issue.keys.map((key) => [
        settingName([...issue.path, key]),
        `is no setting: write one of ${settingsAt(issue.path).join(", ")}`,
      ]);
    case "invalid_key":
      return issue.issues.map(({ message }) => [settingName(issue.path), message]);
    default:
      return [[settingName(issue.path), issue.message]];
  }
}

function settingName(path: PropertyKey[]): string {
  return path.reduce<string>(
    (name, part) =>
      typeof part === "number"
        ? `${name}[${part}]`
        : `${name}${name.endsWith(":") ? "" : "."}${String(part)}`,
    `${namespace}:`,
  );
}

const groups: Record<string, z.ZodObject> = {
  servers: server,
  otherServers: otherServer,
  clients: client,
  connection,
  rebuild,
  jump,
  warm,
};

/** The settings of the innermost group on the way, as in `servers.kalaw.connection.jump`. */
function settingsAt([group = "", , ...parts]: PropertyKey[]): string[] {
  const schemas = [group, ...parts].flatMap((part) =>
    Object.hasOwn(groups, part) ? [groups[String(part)]] : [],
  );
  return Object.keys((schemas.at(-1) ?? stackConfig).shape);
}
