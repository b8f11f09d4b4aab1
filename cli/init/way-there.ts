import { plainWords } from "../../machine/plain-words.ts";

/** What the person's ssh goes by, if it does not reach a machine directly. */
export interface Detour {
  /** ssh's ProxyJump: `[USER@]HOST[:PORT]`, several with commas between them. */
  jump?: string;
  /** ssh's ProxyCommand. */
  command?: string;
}

/**
 * What to write by hand for a machine that is not reached directly, for `init` cannot know the host key of what is in between.
 * @param host as the person has named it
 */
export function detourInWords(host: string, { jump, command }: Detour): string | undefined {
  const directly = "name it by an address that this computer reaches directly";
  if (jump?.includes(",")) {
    return `your ssh reaches ${host} by several jump hosts (${plainWords(jump)}), and Pulumi goes by one at most: ${directly}`;
  }
  if (jump !== undefined) {
    return (
      `your ssh reaches ${host} by the jump host ${plainWords(jump)}, whose host key init cannot read: ${directly}; ` +
      "or leave it out here, and add it to the stack file by hand with connection.jump: { host: …, user: …, hostKey: … } (docs/how-to/reach-a-machine.md)"
    );
  }
  return command === undefined
    ? undefined
    : `your ssh reaches ${host} by a program (ProxyCommand), which Pulumi does not run: ${directly}, or by a jump host (docs/how-to/reach-a-machine.md)`;
}
