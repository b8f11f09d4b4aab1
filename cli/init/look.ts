import { type Found, found, seenAt } from "./found.ts";
import type { MachineSpec } from "./machine-spec.ts";
import type { Machine } from "./stack-file.ts";
import { type Place, UnknownHostKey, type UsersSsh } from "./users-ssh.ts";
import { detourInWords } from "./way-there.ts";

/** What one look at a machine has shown. */
export interface Look {
  machine: Machine;
  place: Place;
  found: Found;
  /** How an address of a server looks from here. */
  sees: (address: string, hostKey: string) => ReturnType<typeof seenAt>;
}

/**
 * Looks at machines: all at once, or on a terminal one after the other, for each may have a question.
 * @param addresses of servers, to look at from there: the words of the question `look`
 * @throws Error in words for a person: what is wrong with any of them, together
 */
export async function lookAtAll(
  ssh: UsersSsh,
  specs: readonly MachineSpec[],
  addresses: readonly string[],
  isTerminal: boolean,
): Promise<Look[]> {
  const failures: string[] = [];
  const look = async (spec: MachineSpec): Promise<Look[]> => {
    try {
      return [await lookAt(ssh, spec, addresses, isTerminal)];
    } catch (error) {
      failures.push((error as Error).message);
      return [];
    }
  };
  const looks: Look[] = [];
  if (isTerminal) for (const spec of specs) looks.push(...(await look(spec)));
  else looks.push(...(await Promise.all(specs.map(look))).flat());
  if (failures.length > 0) throw new Error(failures.join("\n"));
  return looks;
}

async function lookAt(
  ssh: UsersSsh,
  spec: MachineSpec,
  addresses: readonly string[],
  isTerminal: boolean,
): Promise<Look> {
  const place = await ssh.place(spec);
  const complaint = detourInWords(spec.host, place.detour);
  if (complaint !== undefined) throw new Error(complaint);
  const answer = await ssh.ask("look", spec, addresses).catch(async (error: Error) => {
    if (!(error instanceof UnknownHostKey) || !isTerminal) throw error;
    console.log(
      `\nYour ssh does not know ${spec.host}, which shows the host key ${error.fingerprint}.\n` +
        "On its console run: ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub\n" +
        "ssh asks you now. Say yes only if both are the same.\n",
    );
    await ssh.askPerson(spec);
    return ssh.ask("look", spec, addresses);
  });
  const seen = found(answer, spec.host);
  return {
    place,
    found: seen,
    sees: (address, hostKey) => seenAt(answer, address, hostKey),
    machine: {
      name: spec.name ?? seen.hostname.toLowerCase(),
      place,
      hostKey: seen.hostKey,
      isDeployed: seen.deployed !== undefined,
    },
  };
}

/** The same for a person, in several lines. */
export function lookInWords({ machine, place, found: { words, hostKey } }: Look): string {
  const lines = [...words, `host key: ${hostKey}`].map((line) => `  ${line}`);
  return [`${machine.name} (${place.user}@${place.host})`, ...lines].join("\n");
}
