import type { Home } from "../system/home.ts";

/** What a host has done to follow its NixOS configuration: how often it was evaluated, and how often activated. */
export interface Work {
  evaluations: number;
  rebuilds: number;
}

const log = "/var/log/nix-calls";

/**
 * A program in the place of Nix that notes how it is called, and then is Nix. All programs of Nix are one file, by
 * several names, and `nixos-rebuild` evaluates with them too.
 */
const wrapper = `#!/bin/bash
printf '%s %s\\n' "\${0##*/}" "\${*//$'\\n'/ }" >>${log}
exec -a "$0" /usr/bin/nix-itself "$@"
`;

/** Begins to note, on these hosts, what Nix is asked for. */
export async function watchNix(home: Home, hosts: readonly string[]): Promise<void> {
  for (const host of hosts) {
    await home.on(
      host,
      `install -m 666 /dev/null ${log} && mv /usr/bin/nix /usr/bin/nix-itself &&
       cat >/usr/bin/nix && chmod 755 /usr/bin/nix`,
      wrapper,
    );
  }
}

/** What each of these hosts does meanwhile; the paths that the tests build aside. */
export async function workDuring(
  home: Home,
  hosts: readonly string[],
  during: () => Promise<unknown>,
): Promise<Record<string, Work>> {
  const count = () => Promise.all(hosts.map((host) => workOn(home, host)));
  const before = await count();
  await during();
  const after = await count();
  return Object.fromEntries(
    hosts.map((host, i) => {
      const of = (what: keyof Work) => (after[i]?.[what] ?? NaN) - (before[i]?.[what] ?? NaN);
      return [host, { evaluations: of("evaluations"), rebuilds: of("rebuilds") }];
    }),
  );
}

async function workOn(home: Home, host: string): Promise<Work> {
  const calls = (await home.on(host, `cat ${log}`)).split("\n");
  return {
    evaluations: calls.filter(evaluates).length,
    rebuilds: await home.generations(host),
  };
}

/** Whether this call of Nix evaluates an expression that is not one of the tests' (`runCommand`). */
function evaluates(call: string): boolean {
  const [program = "", ...words] = call.split(" ");
  if (call.includes("runCommand")) return false;
  if (program !== "nix") return ["nix-build", "nix-instantiate", "nix-shell"].includes(program);
  return words.some((word) => ["eval", "build", "flake", "develop", "shell", "run"].includes(word));
}
