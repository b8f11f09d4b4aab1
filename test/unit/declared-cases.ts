/**
 * A program of its own, since an Output that is refused is an unhandled rejection by design. It declares a component for
 * each case on stdin, and prints what they registered and why they were refused, when all is done.
 */
import { text } from "node:stream/consumers";
import * as pulumi from "@pulumi/pulumi";
import { CacheClient } from "../../components/cache-client.ts";
import { CacheServer } from "../../components/cache-server.ts";
import { mockEngine } from "./mock-engine.ts";

/** One argument of a component that is not as it should be. */
export interface Case {
  /** The component's name, another in each case. */
  name: string;
  component: "server" | "client";
  /** Of the argument: `connection.hostKey`. */
  path: string;
  /** None is undefined. */
  value?: unknown;
  /** As an Output, or as it is. */
  output: boolean;
}

export interface Declared {
  /** `type name` of each resource that was registered. */
  registered: string[];
  /** Each reason for which something was refused. */
  refused: string[];
}

const registered: string[] = [];
// One error is the rejection of many promises.
const errors = new Set<Error>();
process.on("unhandledRejection", (error) => errors.add(error as Error));
process.once("beforeExit", () => {
  const declared: Declared = { registered, refused: [...errors].map(({ message }) => message) };
  process.stdout.write(JSON.stringify(declared));
});
mockEngine(({ type, name }) => {
  registered.push(`${type} ${name}`);
});

const hostKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINFeRaPGyeUfO/zbdjrsARlJWOwFOy38RuyB7a/r1WIP";
const kalaw = new CacheServer("kalaw", { connection: { host: "192.0.2.1", hostKey } });
for (const { name, component, path, value, output } of JSON.parse(
  await text(process.stdin),
) as Case[]) {
  const args = { connection: { host: "192.0.2.2", hostKey }, server: kalaw };
  const [argument = "", inner] = path.split(".");
  const given = output ? pulumi.output(value) : value;
  Object.assign(
    args,
    inner === undefined
      ? { [argument]: given }
      : { [argument]: { ...Reflect.get(args, argument), [inner]: given } },
  );
  try {
    const { server: _, ...withoutServer } = args;
    if (component === "server") new CacheServer(name, withoutServer);
    else new CacheClient(name, args);
  } catch (error) {
    errors.add(error as Error);
  }
}
