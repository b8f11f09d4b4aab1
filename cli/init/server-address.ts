import { isIP } from "node:net";
import type { Look } from "./look.ts";
import type { Machine } from "./stack-file.ts";

/** By its name if it has one, as people write it; else as the operator reaches it. */
function addressesOf({ name, place }: Machine): string[] {
  return [...new Set([...(isIP(place.host) !== 0 ? [] : [place.host]), name, place.host])];
}

/** Where clients may see the server: the words of the question `look`, ADDRESS PORT of each address. */
export const placesOf = (server: Machine): string[] =>
  addressesOf(server).flatMap((address) => [address, String(server.place.port)]);

/**
 * The address by which all clients see the server, or else most of them.
 * @returns with it, for a person, a line of how each client sees it there
 */
export function serverAddress(
  server: Look,
  clients: readonly Look[],
): { address: string; words: string[] } {
  const { hostKey, name } = server.machine;
  const others = clients.filter(({ machine }) => machine.name !== name);
  const seers = (address: string) =>
    others.filter(({ sees }) => sees(address, hostKey) === "seen").length;
  const [best = name] = addressesOf(server.machine).sort((a, b) => seers(b) - seers(a));
  const words = others.map(({ machine, sees }) => {
    const complaint = {
      seen: undefined,
      unknown: `does not know the name ${best}: add it to its networking.hosts, or change servers.${name}.address`,
      silent: `gets no answer at ${best} port ${server.place.port}: see the firewall of ${name}`,
      another: `sees another machine at ${best} than ${name}: change servers.${name}.address`,
    }[sees(best, hostKey)];
    return complaint === undefined
      ? `${machine.name} reaches ${name} as ${best}`
      : `! ${machine.name} ${complaint}`;
  });
  return { address: best, words };
}
