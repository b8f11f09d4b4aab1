import { plainWords } from "../machine/plain-words.ts";
import { type Answer, wholeNumber } from "./answer.ts";
import { cachePlace, storePlace } from "./store-place.ts";

/**
 * The path that a server has built.
 * @param answer to the question `build`
 * @throws Error in words for a person
 */
export function pathBuilt(
  server: string,
  answer: Answer,
): { path: string; milliseconds: number | undefined } {
  const [path = "", milliseconds] = answer.all("built")[0] ?? [];
  if (!/^\/nix\/store\/[0-9a-z]{32}-nixos-cache-try$/.test(path)) {
    throw new Error(`${server} could not build a path: ${answer.words("failed")}`);
  }
  return { path, milliseconds: wholeNumber(milliseconds) };
}

/**
 * What the client has done, in a line.
 * @param answer to the question `fetch`
 * @param from where the path had to come from
 * @throws Error in words for a person, of a path that did not come, or from elsewhere, or without that server's signature
 */
export function fetchedInWords(
  client: string,
  answer: Answer,
  from: { server: string; address: string },
): string {
  const milliseconds = answer.number("fetched");
  if (milliseconds === undefined) {
    throw new Error(`${client} could not fetch it: ${answer.words("failed")}`);
  }
  const url = answer.text("from");
  if (url === undefined) throw new Error(`${client} had it already, nobody knows where from`);
  // Of ssh-ng Nix 2.26 says no more than the protocol.
  if (storePlace(url) !== cachePlace(from.address) && url !== "ssh-ng://") {
    throw new Error(`${client} fetched it from somebody else: ${plainWords(url)}`);
  }
  const signers = answer.all("signed").map(([name = ""]) => name);
  // As keys/signing-key.ts names them.
  const signer = signers.find(
    (name) =>
      name.startsWith(`${from.server}-`) &&
      /^[0-9]{8}T[0-9]{6}Z$/.test(name.slice(from.server.length + 1)),
  );
  if (signer === undefined) throw new Error(`${client} fetched it without a signature`);
  return `${client} fetched it in ${milliseconds} ms, signed by ${plainWords(signer)}`;
}
