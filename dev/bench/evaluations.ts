import type { Lab } from "../lab/lab.ts";

/** How often each host's configuration was evaluated, all kinds of `nixos-rebuild` together. */
export interface Evaluations {
  server: number;
  clients: number[];
}

/** Runs `work`, and counts the evaluations on each host meanwhile. */
export async function countEvaluations(lab: Lab, work: () => Promise<void>): Promise<Evaluations> {
  const before = await counts(lab);
  await work();
  const after = await counts(lab);
  const [server = Number.NaN, ...clients] = after.map((n, i) => n - (before[i] ?? Number.NaN));
  return { server, clients };
}

/** For each host, how many lines the stand-in's nixos-rebuild has written. */
function counts(lab: Lab): Promise<number[]> {
  return Promise.all(
    lab.hosts.map(async (host) => {
      const { stdout } = await lab.exec(host, ["sh", "-c", "cat /run/nixos-rebuild.log | wc -l"]);
      return Number(stdout);
    }),
  );
}
