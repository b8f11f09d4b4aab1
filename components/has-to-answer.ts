import * as pulumi from "@pulumi/pulumi";
import { runOverSsh } from "../machine/run-over-ssh.ts";
import { sshLogin } from "../machine/ssh-login.ts";
import type { ConnectionArgs } from "./connection.ts";

let made = 0;

/**
 * What a machine that did not answer when it was looked at has to pass before a step on it: a login of ours, within 5
 * seconds, once in an update. The plugin has no limit for a handshake, so that somebody who accepts its connection and says
 * nothing could hold an update up for ever; and it prints what a stranger says as it is.
 *
 * Not before a step is undone: with such a hook the engine refuses `destroy` without --run-program.
 * @param name the machine's
 */
export function hasToAnswer(name: string, connection: ConnectionArgs): pulumi.ResourceHookBinding {
  let answer: Promise<void> | undefined;
  const hook = new pulumi.ResourceHook(`${name} has to answer (${++made})`, () => {
    answer ??= logIn(name, connection);
    return answer;
  });
  return { beforeCreate: [hook], beforeUpdate: [hook] };
}

/**
 * Whether there can be such hooks. Between program and engine stands Pulumi's language host, and one that is older than both,
 * as the lab's is, does not know them: then no step with a hook would be registered.
 */
export async function canHaveToAnswer(): Promise<boolean> {
  const probe = new pulumi.ResourceHook("are there hooks", () => undefined);
  try {
    // Public in Pulumi's code, and left out of its types.
    await Reflect.get(probe, "__registered");
    return true;
  } catch {
    return false;
  }
}

/** @throws Error in words for a person */
async function logIn(name: string, connection: ConnectionArgs): Promise<void> {
  const known = await new Promise<pulumi.Unwrap<ConnectionArgs>>((resolve) => {
    pulumi.output(connection).apply(resolve);
  });
  try {
    await runOverSsh(known, sshLogin(known), "true", { dialSeconds: 5, seconds: 10 });
  } catch (error) {
    throw new Error(`${name}: nothing was done there: ${(error as Error).message}`);
  }
}
