import { buildNewPath, fetchPath } from "../lab/demonstration.ts";
import type { Lab } from "../lab/lab.ts";

// At once: sshd drops logins beyond ten (sshd_config(5), MaxStartups).
const atOnce = 8;

/**
 * Builds a new path on the server, and fetches it on every client.
 * @returns the names of the keys whose signatures the clients accepted
 * @throws when a client does not get it
 */
export async function fetchOnAll(lab: Lab): Promise<string[]> {
  const [server = "", ...clients] = lab.hosts;
  const path = await buildNewPath(lab, server);
  const signers = new Set<string>();
  for (let i = 0; i < clients.length; i += atOnce) {
    const some = clients.slice(i, i + atOnce);
    const fetched = await Promise.all(some.map((client) => fetchPath(lab, client, path)));
    for (const { signedBy } of fetched) signers.add(signedBy);
  }
  return [...signers];
}
