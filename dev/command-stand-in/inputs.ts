import {
  type Archive,
  type Asset,
  exposed,
  inside,
  isArchive,
  isAsset,
  isObject,
  isUnknown,
  type Properties,
  secret,
} from "./properties.ts";

export interface Endpoint {
  host: string;
  port: number;
  user: string;
  password?: string;
  privateKey?: string;
  privateKeyPassword?: string;
  hostKey?: string;
  agentSocketPath?: string;
  /** Failed dials that are forgiven; -1: any number. */
  dialErrorLimit: number;
  /** Seconds for the TCP connect; 0: no limit. */
  perDialTimeout: number;
}

export interface Connection extends Endpoint {
  proxy?: Endpoint;
}

/** The inputs of a remote.Command and, once it has run, its outputs, without secret marks. */
export interface CommandState {
  connection: Connection;
  create?: string;
  update?: string;
  delete?: string;
  stdin?: string;
  triggers?: unknown[];
  logging?: "stdout" | "stderr" | "stdoutAndStderr" | "none";
  environment?: Record<string, string>;
  addPreviousOutputInEnv?: boolean;
  stdout: string;
  stderr: string;
}

/** The inputs of a remote.CopyToRemote, without secret marks. */
export interface CopyInputs {
  connection: Connection;
  source: Asset | Archive;
  remotePath: string;
  triggers?: unknown[];
}

export interface Failure {
  property: string;
  reason: string;
}

type Kind =
  | "string"
  | "float64"
  | "int"
  | "bool"
  | "[]interface {}"
  | "map[string]string"
  | "asset or archive"
  | Shape;

/** An object's fields; the name is the official plugin's, for its messages. */
export interface Shape {
  name: string;
  fields: Record<string, Field>;
}

interface Field {
  kind: Kind;
  required?: true;
  secret?: true;
  fallback?: unknown;
}

const endpoint: Record<string, Field> = {
  user: { kind: "string", fallback: "root" },
  password: { kind: "string", secret: true },
  host: { kind: "string", required: true },
  port: { kind: "float64", fallback: 22 },
  privateKey: { kind: "string", secret: true },
  privateKeyPassword: { kind: "string", secret: true },
  agentSocketPath: { kind: "string" },
  dialErrorLimit: { kind: "int", fallback: 10 },
  perDialTimeout: { kind: "int", fallback: 15 },
  hostKey: { kind: "string" },
};

const connection: Shape = {
  name: "remote.Connection",
  fields: { ...endpoint, proxy: { kind: { name: "remote.ProxyConnection", fields: endpoint } } },
};

export const commandInputs: Shape = {
  name: "remote.CommandInputs",
  fields: {
    connection: { kind: connection, required: true, secret: true },
    create: { kind: "string" },
    update: { kind: "string" },
    delete: { kind: "string" },
    stdin: { kind: "string" },
    triggers: { kind: "[]interface {}" },
    logging: { kind: "string" },
    environment: { kind: "map[string]string" },
    addPreviousOutputInEnv: { kind: "bool" },
  },
};

export const copyInputs: Shape = {
  name: "remote.CopyToRemoteInputs",
  fields: {
    connection: { kind: connection, required: true, secret: true },
    triggers: { kind: "[]interface {}" },
    source: { kind: "asset or archive", required: true },
    remotePath: { kind: "string", required: true },
  },
};

/**
 * Checks the types of the inputs, fills in defaults and marks what is always secret. The reasons of
 * failures are the official ones, but the path is the field's own: the official plugin names only
 * `connection`, and prints all of it, the private key too.
 */
export function check(
  inputs: Properties,
  shape: Shape,
): { inputs: Properties; failures: Failure[] } {
  const failures: Failure[] = [];
  const checked = checkShape(inputs, shape, [], failures);
  return { inputs: checked as Properties, failures };
}

function checkShape(value: unknown, shape: Shape, at: string[], failures: Failure[]): unknown {
  if (!isObject(value)) return value;
  const checked: Properties = {};
  const fail = (name: string, reason: string) =>
    failures.push({ property: [...at, name].join("."), reason });
  const misfit = (name: string, kind: Kind, value: unknown) => {
    if (kind === "asset or archive") {
      failures.push({ property: "asset", reason: "either asset or archive must be set" });
      return;
    }
    const wanted = typeof kind === "object" ? kind.name : kind;
    const got = `must be a '${wanted}'; got '${typeName(value)}' instead`;
    fail(name, `Field '${name}' on '${shape.name}' ${got}`);
  };
  for (const [name, given] of Object.entries(value)) {
    const field = shape.fields[name];
    // The engine's own fields start with two underscores.
    if (given === undefined || given === null || (!field && name.startsWith("__"))) continue;
    if (!field) {
      fail(name, `Unrecognized field '${name}' on '${shape.name}'`);
      continue;
    }
    const { kind } = field;
    const result = inside(given, (bare) => {
      if (!isUnknown(bare) && !fits(bare, kind)) misfit(name, kind, bare);
      return typeof kind === "object" ? checkShape(bare, kind, [...at, name], failures) : bare;
    });
    checked[name] = field.secret ? secret(result) : result;
  }
  for (const [name, field] of Object.entries(shape.fields)) {
    if (name in checked) continue;
    if (field.required) fail(name, `Missing required field '${name}' on '${shape.name}'`);
    if (field.fallback !== undefined) checked[name] = field.fallback;
  }
  return checked;
}

function fits(value: unknown, kind: Kind): boolean {
  if (typeof kind === "object") return isObject(value);
  if (kind === "asset or archive") return isAsset(value) || isArchive(value);
  if (kind === "[]interface {}") return Array.isArray(value);
  if (kind === "bool") return typeof value === "boolean";
  if (kind === "float64" || kind === "int") return typeof value === "number";
  if (kind === "string") return typeof value === "string";
  return isObject(value) && Object.values(value).every((item) => typeof exposed(item) === "string");
}

function typeName(value: unknown): string {
  if (typeof value === "number") return "float64";
  if (typeof value === "boolean") return "bool";
  if (Array.isArray(value)) return "[]interface {}";
  return isObject(value) ? "map[string]interface {}" : typeof value;
}
