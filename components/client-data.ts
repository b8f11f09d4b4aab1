/** What a server has to know of a client, as plain data: what a `CacheClient` puts out (`data`), for a server in another stack. */
export interface ClientData {
  /** Its SSH public keys, one line each: the newest, and the one that it still reads with, if that is another. */
  publicKeys: string[];
  /** By the servers' names, the name of the signing key that it trusts each of them by. */
  trusts?: Record<string, string> | undefined;
}

/** A client of another stack: the line of its SSH public key, several of them, or what its `CacheClient` puts out. */
export type OtherClient = string | string[] | ClientData;

/** What the step `admit` gets: the name of the signing key that the client trusts, if that is known, and its keys, a line each. */
export function admitInput(client: OtherClient, server: string): string {
  const { publicKeys, trusts = {} } = clientData(client);
  return [trusts[server] ?? "", ...publicKeys].map((line) => `${line.trim()}\n`).join("");
}

/** A client's keys as data, whichever way they were written. */
export function clientData(client: OtherClient): ClientData {
  if (typeof client === "string") return { publicKeys: [client] };
  return Array.isArray(client) ? { publicKeys: client } : client;
}
