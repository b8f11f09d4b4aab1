import * as pulumi from "@pulumi/pulumi";
import type { ClientData } from "./client-data.ts";
import { thisStack } from "./owner.ts";
import type { ServerData } from "./server-data.ts";

/**
 * What other stacks of this program have put out last (index.ts): their servers and their clients, by name. It is read before
 * anything is declared, so that what is missing there is told before anything is touched here.
 */
export class OtherStacks {
  readonly #references = new Map<string, pulumi.StackReference>();

  /**
   * A server there.
   * @param stack organization/project/stack
   * @throws pulumi.RunError while that stack puts out no such server
   */
  async server(stack: string, name: string): Promise<ServerData> {
    const server = await this.#named(stack, "servers", name);
    if (server !== undefined) return server as ServerData;
    throw new pulumi.RunError(
      `the stack ${stack} puts out no server ${name} yet: run \`pulumi up\` there first, or take ${name} out of otherServers`,
    );
  }

  /**
   * The keys of a client there; none, with a warning, while that stack puts out no such client, for it may need our server first.
   * @param stack organization/project/stack
   */
  async client(stack: string, name: string): Promise<ClientData> {
    const client = await this.#named(stack, "clients", name);
    if (client !== undefined) return client as ClientData;
    await pulumi.log.warn(
      `the stack ${stack} puts out no client ${name} yet, so ${name} has no access: run \`pulumi up\` there, then here`,
    );
    return { publicKeys: [] };
  }

  async #named(stack: string, group: "servers" | "clients", name: string): Promise<unknown> {
    if (stack === thisStack()) {
      throw new pulumi.RunError(
        `${name} is said to be in the stack ${stack}, which is this one: write it under ${group}`,
      );
    }
    const reference = this.#references.get(stack) ?? new pulumi.StackReference(stack);
    this.#references.set(stack, reference);
    const { value, secretValue } = await reference.getOutputDetails(group);
    const machines: unknown = value ?? secretValue;
    return typeof machines === "object" && machines !== null && Object.hasOwn(machines, name)
      ? Reflect.get(machines, name)
      : undefined;
  }
}
