import * as pulumi from "@pulumi/pulumi";
import { thisStack } from "./owner.ts";

/** What the stack's state has: `TYPE::NAME` of each resource, as a URN ends. */
export type TakenSteps = ReadonlySet<string>;

/** Whether a resource is in the state. */
export function isTaken(taken: TakenSteps, type: string, name: string): boolean {
  return taken.has(`${type}::${name}`);
}

/**
 * The resources that the stack's state has, as the update before has left them. The program asks before it declares
 * anything: of a machine that is off, only what is there already can be declared, for the engine would make the rest.
 * @throws Error where the engine does not know the question
 */
export async function takenSteps(): Promise<TakenSteps> {
  // What `pulumi.runtime.listResourceOutputs` of earlier SDKs asked; the engine answers still (pkg/resource/deploy/builtins.go).
  const { outputs } = await pulumi.runtime.invoke("pulumi:pulumi:readStackResourceOutputs", {
    stackName: thisStack(),
  });
  return new Set(Object.keys(outputs).map(endOfUrn));
}

/** `urn:pulumi:STACK::PROJECT::PARENT-TYPE$TYPE::NAME` */
function endOfUrn(urn: string): string {
  const [, , types = "", ...name] = urn.split("::");
  return [types.split("$").at(-1), ...name].join("::");
}
