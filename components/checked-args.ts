import * as pulumi from "@pulumi/pulumi";
import { z } from "zod";
import { agentSocket, connection, machineOptions } from "../machine/argument-schemas.ts";

/** What a component takes. */
export interface ArgumentSchemas {
  /** What may be an Output. A group of values may be one as a whole, or have Outputs in it. */
  inputs: Record<string, z.ZodType>;
  /** What has to be known at once, since it decides what is declared. */
  plain: Record<string, z.ZodType>;
  /** A list, or a group by names: which members there are has to be known at once, each of them is an input. */
  members?: Record<string, Members>;
}

export interface Members {
  /** The list or the group, whatever is in it. */
  all: z.ZodType;
  each: z.ZodType;
}

const pem = z.string({ error: "is no text: write the whole file, from -----BEGIN to -----END" });

const flag = z.boolean({ error: "is neither true nor false: write one of them, and no text" });

/** What both components take (MachineArgs). */
export const machineArgs: ArgumentSchemas = {
  inputs: {
    connection: connection.extend({
      privateKey: pem.optional(),
      privateKeyPassword: z.string({ error: "is no text: write the passphrase" }).optional(),
      agentSocket: agentSocket.optional(),
    }),
    ...machineOptions,
  },
  plain: {
    drift: z.instanceof(Map, { error: "is no drift: write what driftOf returns" }).optional(),
    silent: flag.optional(),
    hasToAnswer: flag.optional(),
    plan: flag.optional(),
  },
};

/**
 * The arguments as they were given, if they are right: they become words of root's shell and lines of ssh's and Nix's
 * configuration. An Output is checked as soon as it has a value; if that is wrong, nothing with it is registered.
 * @param component its name, which is checked too
 * @throws pulumi.InputPropertiesError with a line for every argument that is wrong
 */
export function checkedArgs<T extends object>(
  component: string,
  { inputs, plain, members = {} }: ArgumentSchemas,
  args: T,
): T {
  const mistakes: Mistake[] = [];
  const check = (schema: z.ZodType, value: unknown, path: string): unknown => {
    const { value: checked, mistakes: found } = checkedPlain(schema, value, path);
    mistakes.push(...found);
    return checked;
  };
  const checkInput = (schema: z.ZodType, value: unknown, path: string): unknown => {
    if (isEventual(value)) return checkedOutput(component, schema, value, path);
    if (pulumi.Resource.isInstance(value) || !hasEventual(value)) return check(schema, value, path);
    // Rules between its values need all of them; without such rules, what is not known yet does not hold up the others.
    const group = groupOf(schema);
    if (group === undefined) return checkedOutput(component, schema, value, path);
    for (const key of Object.keys(value)) {
      if (!Object.hasOwn(group, key)) mistakes.push(unknownArgument(`${path}.${key}`, group));
    }
    return mapValues(group, (inner, key) =>
      checkInput(inner, Reflect.get(value, key), `${path}.${key}`),
    );
  };

  const checkMembers = ({ all, each }: Members, value: unknown, path: string): unknown => {
    const before = mistakes.length;
    const group = check(all, value, path);
    if (mistakes.length > before || typeof group !== "object" || group === null) return group;
    return Array.isArray(group)
      ? group.map((member, i) =>
          checkInput(each, member, group.length > 1 ? `${path}[${i}]` : path),
        )
      : mapValues(group as Record<string, unknown>, (member, key) =>
          checkInput(each, member, `${path}.${key}`),
        );
  };

  if (!/^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/.test(component)) {
    const reason = "is no component's name: write 1 to 63 of A-Z, a-z, 0-9, _, . and -";
    mistakes.push({ propertyPath: "name", reason });
  }
  // A program that is not type-checked may pass none.
  const given: object = args ?? {};
  const all = { ...inputs, ...plain, ...members };
  for (const key of Object.keys(given)) {
    if (!Object.hasOwn(all, key)) mistakes.push(unknownArgument(key, all));
  }
  const checked = {
    ...mapValues(inputs, (schema, key) => checkInput(schema, Reflect.get(given, key), key)),
    ...mapValues(plain, (schema, key) => check(schema, Reflect.get(given, key), key)),
    ...mapValues(members, (schemas, key) => checkMembers(schemas, Reflect.get(given, key), key)),
  };
  if (mistakes.length > 0) {
    const lines = mistakes.map((mistake) => inWords(component, mistake));
    throw new pulumi.InputPropertiesError({ message: lines.join("\n"), errors: mistakes });
  }
  return checked as T;
}

type Mistake = pulumi.InputPropertyErrorDetails;

function checkedPlain(
  schema: z.ZodType,
  value: unknown,
  path: string,
): { value: unknown; mistakes: Mistake[] } {
  const { success, data, error } = schema.safeParse(value);
  if (success) return { value: data, mistakes: [] };
  // One mistake for each value.
  const reasons = new Map<string, string>();
  for (const issue of error.issues) {
    const at = [path, ...issue.path].join(".");
    if (issue.code === "unrecognized_keys") {
      for (const key of issue.keys) reasons.set(`${at}.${key}`, noArgument);
      continue;
    }
    const { message } = issue.code === "invalid_key" ? (issue.issues[0] ?? issue) : issue;
    reasons.set(at, reasons.get(at) ?? message);
  }
  const mistakes = [...reasons].map(([propertyPath, reason]) => ({ propertyPath, reason }));
  return { value: undefined, mistakes };
}

function checkedOutput(
  component: string,
  schema: z.ZodType,
  value: unknown,
  path: string,
): pulumi.Output<unknown> {
  // Pulumi's types make nothing of what is unknown to them.
  const output = pulumi.output(value) as unknown as pulumi.Output<unknown>;
  return output.apply((known) => {
    const { value, mistakes } = checkedPlain(schema, known, path);
    if (mistakes.length === 0) return value;
    // Of all errors Pulumi shows this kind without a stack, which would lead into an apply of ours.
    throw new pulumi.RunError(mistakes.map((mistake) => inWords(component, mistake)).join("\n"));
  });
}

function inWords(component: string, { propertyPath, reason }: Mistake): string {
  return `${component}: ${propertyPath} ${reason}`;
}

const noArgument = "is no argument: take it out";

function unknownArgument(propertyPath: string, group: object): Mistake {
  return { propertyPath, reason: `is no argument: write one of ${Object.keys(group).join(", ")}` };
}

/** The schemas of a group's values; none of another type, or where there are rules between the values. */
function groupOf(schema: z.ZodType): Record<string, z.ZodType> | undefined {
  const isFree = schema instanceof z.ZodObject && (schema.def.checks ?? []).length === 0;
  return isFree ? schema.shape : undefined;
}

function isEventual(value: unknown): boolean {
  return pulumi.Output.isInstance(value) || value instanceof Promise;
}

function hasEventual(value: unknown): value is object {
  return typeof value === "object" && value !== null && Object.values(value).some(isEventual);
}

function mapValues<T>(
  group: Record<string, T>,
  map: (value: T, key: string) => unknown,
): Record<string, unknown> {
  return Object.fromEntries(Object.entries(group).map(([key, value]) => [key, map(value, key)]));
}
