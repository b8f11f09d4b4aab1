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

/** A component's name after those of its parents' types. */
async function nameOf(component: pulumi.ComponentResource): Promise<string> {
  // Not as an Output: a child that depends on its component would wait for itself.
  const urn = await new Promise<string>((resolve) => void component.urn.apply(resolve));
  const [, , types = "", ...name] = urn.split("::");
  const parents = types.split("$").slice(0, -1);
  return [...parents, name.join("::")].map(oneWord).join("/");
}

/** For a machine reads it as one word; no two texts are the same word. */
function oneWord(text: string): string {
  return text.replace(/[^A-Za-z0-9_.:-]/gu, (character) =>
    Array.from(Buffer.from(character), (byte) => `%${byte.toString(16).padStart(2, "0")}`).join(""),
  );
}
