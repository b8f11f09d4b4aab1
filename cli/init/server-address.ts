import { isIPv4 } from "node:net";
import type { Look } from "./look.ts";

/** By its name if it has one, as people write it; else as the operator reaches it. */
function addressesOf({ machine: { name, place } }: Pick<Look, "machine">): string[] {
  return [...new Set([...(isIPv4(place.host) ? [] : [place.host]), name, place.host])];
}

/** Where clients may see the server: the words of the question `look`, ADDRESS PORT of each address. */
export const placesOf = (server: Look): string[] =>
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
  const [best = name] = addressesOf(server).sort((a, b) => seers(b) - seers(a));
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
