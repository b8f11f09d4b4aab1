import type { Finding } from "./finding.ts";

/** What to do about each of the words that a failed login ends with (machine/ssh-error.ts, machine/as-root.ts). */
const advice: readonly (readonly [words: RegExp, todo: string])[] = [
  [
    /has another host key|has no host key of the type/,
    "read /etc/ssh/ssh_host_ed25519_key.pub on its console; if it is another than connection.hostKey, write it there, else somebody is in between",
  ],
  [
    /does not let .* in with this key/,
    "add your public key to users.users.NAME.openssh.authorizedKeys.keys on it; or correct connection.user, nixos-cache:privateKey, or the keys of your agent",
  ],
  [/refuses connections/, "set services.openssh.enable = true on it, or correct connection.port"],
  [
    /did not answer in time|there is no way to|took more than/,
    "turn it on; if it is on, correct connection.host, or let its firewall pass the port (services.openssh.openFirewall)",
  ],
  [
    /the name .* is not known/,
    "correct connection.host, or write its address; or add the name to your DNS or /etc/hosts",
  ],
  [
    /refusing this address for a while/,
    "wait a minute, for sshd forgets failed logins (PerSourcePenalties); then run this again",
  ],
  [/the SSH agent/, "run ssh-add; or set nixos-cache:privateKey"],
  [
    /sudo/,
    "let the user of connection.user use sudo without a password (security.sudo), or take connection.user out",
  ],
];

/**
 * A machine that could not be asked.
 * @param reason why, in words
 */
export function loginFinding(reason: string): Finding {
  const [, todo] = advice.find(([words]) => words.test(reason)) ?? [
    undefined,
    "log in to it with ssh as the user of connection.user, and see what stands in the way",
  ];
  return { wrong: reason, todo };
}
