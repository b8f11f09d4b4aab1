import type { Home } from "../system/home.ts";

const trial = "/var/lib/nixos-cache/trial";
const phase = (name: string) => `read -r phase <${trial}/phase && [ "$phase" = ${name} ]`;

/** What stands still at a moment: the step `settings` on a machine, or the unit of its trial. */
const acting = { step: "[s]teps/main.sh settings", unit: "[s]teps/main.sh trial" };

/** Moments of a change, each as a shell condition that takes no time to ask; `/run/begun` is older than the change. */
const moments = {
  "the files are kept": { of: "step", when: `[ -d ${trial} ]` },
  "the files are written": {
    of: "step",
    when: "[ /etc/nixos/nixos-cache/module.nix -nt /run/begun ]",
  },
  "it builds": {
    of: "step",
    when: `[ -e ${trial}/phase ] && pgrep -f "[n]ixos-rebuild build" >/dev/null`,
  },
  "it switches": {
    of: "unit",
    when: `${phase("switching")} && pgrep -f "[s]witch-to-configuration test" >/dev/null`,
  },
  "it waits": { of: "unit", when: phase("waiting") },
  "the profile is set": {
    of: "unit",
    when: `[ ! /nix/var/nix/profiles/system -ef "$booting" ] && [ -d ${trial} ]`,
  },
} as const;

export type Moment = keyof typeof moments;

/** Waits for that moment of the change that begins now; who acts then on the host stands still. */
export function stopAt(home: Home, host: string, moment: Moment): Promise<string> {
  const { of, when } = moments[moment];
  return home.on(
    host,
    `booting=$(readlink -f /nix/var/nix/profiles/system) && export booting && touch /run/begun &&
     timeout 60 sh -c 'until { ${when}; } 2>/dev/null; do :; done' && pkill -STOP -f '${acting[of]}'`,
  );
}

/** Ends who stands still there, as the kernel does when memory is short: nothing of it can run any more. */
export function kill(home: Home, host: string, moment: Moment): Promise<string> {
  return home.on(host, `pkill -KILL -f '${acting[moments[moment].of]}'`);
}

/** Lets who stands still there go on. */
export function goOn(home: Home, host: string, moment: Moment): Promise<string> {
  return home.on(host, `pkill -CONT -f '${acting[moments[moment].of]}'`);
}
