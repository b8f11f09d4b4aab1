import { z } from "zod";
import { complaintAboutHostKey, whereHostKeys } from "../machine/host-key.ts";
import { ConfigError, namespace } from "./config-error.ts";
import { mistakesBetweenMachines } from "./mistakes-between-machines.ts";

// The host name of a machine, and the first part of resource and key names: one label of RFC 1123, lower case.
const machineName = z
  .string()
  .regex(
    /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/,
    "is no valid host name: write 1 to 63 of a-z, 0-9 and -, with no - at either end",
  );

const hostName = z
  .string({ error: expected("is no text", "write a host name or an IPv4 address") })
  .regex(
    /^(?=.{1,253}$)[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*$/,
    "is no host name or IPv4 address: write it without user, port or scheme, like kalaw.lan",
  );

const port = z
  .int({ error: expected("is no port", "write a whole number from 1 to 65535, like 22") })
  .min(1, "is no port: write a whole number from 1 to 65535, like 22")
  .max(65535, "is no port: write a whole number from 1 to 65535, like 22");

const hostKey = z
  .string({ error: expected("is no text", whereHostKeys) })
  .superRefine((text, context) => {
    const complaint = complaintAboutHostKey(text);
    if (complaint !== undefined) {
      context.addIssue({ code: "custom", message: `${complaint}: ${whereHostKeys}` });
    }
  });

// `pulumi config set --path` writes a number where it sees one.
const rotation = z.preprocess(
  (value) => (typeof value === "number" ? String(value) : value),
  z
    .string({ error: "is no text: write any word or number, like 2" })
    .min(1, "is empty: write any word or number, like 2"),
);

const connection = z.strictObject(
  {
    host: hostName,
    port: port.optional(),
    user: z
      .string({ error: "is no text: write a user's name, like root" })
      .regex(
        /^[A-Za-z_][A-Za-z0-9_.-]{0,30}$/,
        "is no user's name: write root, or a user who may use sudo without a password",
      )
      .optional(),
    hostKey,
  },
  { error: expected("is no group of settings", "write { host: …, hostKey: … }") },
);

const attributeAdvice = "write the name of a nixosConfigurations entry, like pai";

const rebuild = z
  .strictObject(
    {
      by: z
        .enum(["pulumi", "owner"], {
          error:
            "is neither pulumi nor owner: write owner if you deploy this machine's settings yourself",
        })
        .optional(),
      from: z
        .enum(["flake", "channel"], {
          error: "is neither flake nor channel: write what /etc/nixos is built from",
        })
        .optional(),
      attribute: z
        .string({ error: `is no text: ${attributeAdvice}` })
        .regex(/^[A-Za-z0-9_][A-Za-z0-9_.-]*$/, `is no attribute of a flake: ${attributeAdvice}`)
        .optional(),
    },
    { error: "is no group of settings: write { from: flake, attribute: … }" },
  )
  .superRefine(({ by, from, attribute }, context) => {
    for (const [setting, value] of Object.entries({ from, attribute })) {
      if (by === "owner" && value !== undefined) {
        const message = "is for rebuilds by pulumi: take it out, or write by: pulumi";
        context.addIssue({ code: "custom", path: [setting], message });
      }
    }
    if (by !== "owner" && from === "channel" && attribute !== undefined) {
      context.addIssue({
        code: "custom",
        path: ["attribute"],
        message: "is for a flake: take it out, or write from: flake",
      });
    }
  });

const confirmWithin = "is no number of seconds: write a whole number from 10 to 3600, like 60";

const yes = (whatFor: string) =>
  z.boolean({ error: `is neither true nor false: write true ${whatFor}` }).optional();

/** The options of a machine in either role (machine/options.ts). */
const machine = {
  rebuild: rebuild.optional(),
  confirmWithin: z
    .int({ error: confirmWithin })
    .min(10, confirmWithin)
    .max(3600, confirmWithin)
    .optional(),
  onlyOurs: yes("to refuse rebuilds that would change more than the cache"),
  takeOver: yes("to take the machine over from another stack"),
};

// At the top, Pulumi hands over every value as text.
const yesOrNo = z
  .enum(["true", "false"], { error: "is neither true nor false: write one of them" })
  .transform((text) => text === "true");

const server = z.strictObject(
  {
    connection,
    address: hostName.optional(),
    port: port.optional(),
    rotation: rotation.optional(),
    onlyOurKeys: yes("to end the access of keys that are not of this stack"),
    ...machine,
  },
  { error: "is no group of settings: write { connection: { host: …, hostKey: … } }" },
);

const priority =
  "is no priority: write a whole number from 0 to 2147483647; cache.nixos.org has 40";

const client = z.strictObject(
  {
    connection,
    servers: z
      .array(z.string({ error: "is no text: write the name of a server" }), {
        error: expected("is no list", "write the names of its servers, like [kalaw]"),
      })
      .min(1, "is empty: write the names of its servers, like [kalaw]"),
    priority: z
      .int({ error: priority })
      .min(0, priority)
      // Nix reads it as a number of 32 bits, and leaves out a cache with more.
      .max(2_147_483_647, priority)
      .optional(),
    rotation: rotation.optional(),
    gone: yes("if the machine is lost"),
    ...machine,
  },
  { error: "is no group of settings: write { connection: {…}, servers: [kalaw] }" },
);

const stackConfig = z.strictObject({
  rotation: rotation.default("1"),
  rotateEvery: z
    .string({ error: "is no text: write a number of days, like 90d" })
    .regex(/^[1-9][0-9]{0,4}d$/, "is no period: write a number of days, like 90d")
    .optional(),
  observe: yesOrNo.default(true),
  plan: yesOrNo.default(false),
  privateKey: z.string().optional(),
  privateKeyPassword: z.string().optional(),
  servers: z
    .record(machineName, server, {
      error: expected(
        "is no group of servers",
        "write kalaw: { connection: { host: …, hostKey: … } }",
      ),
    })
    .refine(
      (servers) => Object.keys(servers).length > 0,
      "is empty: write at least one server, or run `pulumi destroy` to take all away",
    ),
  clients: z
    .record(machineName, client, {
      error: "is no group of clients: write pai: { connection: {…}, servers: [kalaw] }",
    })
    .default({}),
});

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
  const parsed = stackConfig.safeParse(
    Object.fromEntries(
      ours.map(([key, text]) => [key, structured.has(key) ? fromJson(text) : text]),
    ),
  );
  const mistakes = parsed.success
    ? mistakesBetweenMachines(parsed.data)
    : describeEach(parsed.error.issues);
  if (mistakes.length > 0 || !parsed.success) {
    throw new ConfigError(mistakes.join("\n"));
  }
  return parsed.data;
}

const structured = new Set(["servers", "clients"]);

/** Structured settings are JSON; what is no JSON stays text, and the schema says what was expected. */
function fromJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** The message for a value that is not there, or of another type. */
function expected(wrong: string, advice: string): (issue: { input?: unknown }) => string {
  return ({ input }) => `${input === undefined ? "is missing" : wrong}: ${advice}`;
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

function settingsAt(path: PropertyKey[]): string[] {
  const [group, , part] = path;
  const schema =
    part === "connection"
      ? connection
      : part === "rebuild"
        ? rebuild
        : group === "servers"
          ? server
          : group === "clients"
            ? client
            : stackConfig;
  return Object.keys(schema.shape);
}
