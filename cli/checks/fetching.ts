import { plainWords } from "../../machine/plain-words.ts";
import type { Answer } from "../answer.ts";
import type { Finding } from "./finding.ts";

/** A server as a client of it should reach it. */
export interface Cache {
  name: string;
  address: string;
  port: number;
}

/** A client of it. */
export interface Client {
  name: string;
  /** Whether it has a key already: without one it is refused rightly. */
  hasKey: boolean;
}

const denied = /denied/i;

/** What ssh says (OpenSSH 9.9 to 10.6), what it means between a client and its cache, and what to do. */
const failures: readonly (readonly [
  said: RegExp,
  finding: (cache: Cache, client: string) => Finding,
])[] = [
  [
    denied,
    ({ name }, client) => ({
      wrong: `${name} does not let the key of ${client} in`,
      todo: "run pulumi up, which brings the key back",
    }),
  ],
  [
    /verification failed/i,
    ({ name, address }) => ({
      wrong: `who answers at ${address} has another host key than ${name}`,
      todo: `correct servers.${name}.address or its port, or what the name means here: getent hosts ${address}`,
    }),
  ],
  [
    /refused|reset|closed/i,
    ({ name, address, port }) => ({
      wrong: `${address} port ${port} refuses connections`,
      todo: `set services.openssh.enable = true on ${name}, or correct servers.${name}.port; let its firewall reject nothing there`,
    }),
  ],
  [
    /timed out|no route|unreachable/i,
    ({ name, address, port }) => ({
      wrong: `${address} port ${port} does not answer`,
      todo: `let the firewall of ${name} pass the port (networking.firewall.allowedTCPPorts), or correct servers.${name}.address`,
    }),
  ],
];

/**
 * What stands between a client and one of its caches.
 * @param answer of the client to the question `doctor`
 */
export function fetchFinding(answer: Answer, cache: Cache, client: Client): Finding[] {
  const find = (kind: string) =>
    answer.all(kind).find(([address]) => address === cache.address)?.[1];
  if (find("name") === "unknown") {
    return [
      {
        wrong: `does not know the name ${cache.address}, by which it fetches from ${cache.name}`,
        todo: `add it to networking.hosts or your DNS, or write another servers.${cache.name}.address`,
      },
    ];
  }
  const said = find("reach");
  if (said === undefined || said === "yes" || (denied.test(said) && !client.hasKey)) return [];
  const known = failures.find(([words]) => words.test(said));
  if (known !== undefined) return [known[1](cache, client.name)];
  return [
    {
      wrong: `cannot log in to ${cache.name}: ${plainWords(said)}`,
      todo: `run as root there: ssh -v -p ${cache.port} nix-ssh@${cache.address}`,
    },
  ];
}
