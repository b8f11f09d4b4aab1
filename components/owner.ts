import * as pulumi from "@pulumi/pulumi";

/** This stack, as a machine knows its owner: organization/project/stack. */
export function thisStack(): string {
  return [pulumi.getOrganization(), pulumi.getProject(), pulumi.getStack()].join("/");
}

/**
 * Whose a component's steps are: the stack and the component, in two words. Two components of a stack never have the
 * same: it follows the URN (https://www.pulumi.com/docs/iac/concepts/resources/names/), so a component that is renamed
 * or gets another parent is another owner.
 * @param on the component whose machine the steps are on, where that is another: a client is one owner on each of its
 *   servers, so that the undo for a server's old name takes nothing from the new one
 */
export async function ownerOf(
  component: pulumi.ComponentResource,
  on = component,
): Promise<string> {
  const names = await Promise.all([...new Set([component, on])].map(nameOf));
  return `${thisStack()} ${names.join("@")}`;
}

/** Whose the keys of another stack's client are: the server's, by a name that no component has. */
export async function ownerOfOther(client: string, on: pulumi.ComponentResource): Promise<string> {
  return `${thisStack()} other:${client}@${await nameOf(on)}`;
}

/** A component's name after those of its parents' types. */
async function nameOf(component: pulumi.ComponentResource): Promise<string> {
  const { types, name } = partsOf(await urnOf(component));
  return [...types.slice(0, -1), name].map(oneWord).join("/");
}

/** The same of a component that is still to be made below another, or below none. */
export async function nameBelow(
  parent: pulumi.ComponentResource | undefined,
  name: string,
): Promise<string> {
  const types = parent === undefined ? [] : partsOf(await urnOf(parent)).types;
  return [...types, name].map(oneWord).join("/");
}

/** Not as an Output: a child that depends on its component would wait for itself. */
function urnOf(component: pulumi.ComponentResource): Promise<string> {
  return new Promise((resolve) => void component.urn.apply(resolve));
}

function partsOf(urn: string): { types: string[]; name: string } {
  const [, , types = "", ...name] = urn.split("::");
  return { types: types.split("$"), name: name.join("::") };
}

/** For a machine reads it as one word; no two texts are the same word. */
function oneWord(text: string): string {
  return text.replace(/[^A-Za-z0-9_.:-]/gu, (character) =>
    Array.from(Buffer.from(character), (byte) => `%${byte.toString(16).padStart(2, "0")}`).join(""),
  );
}
