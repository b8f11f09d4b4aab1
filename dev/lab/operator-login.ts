import { outcome } from "./outcome.ts";
import { until } from "./until.ts";

/** Where the operator of a lab logs in from (see `Lab`). */
export interface OperatorsPlace {
  /** The folder with the private key, `operator`, and the hosts' keys, `known_hosts`. */
  folder: string;
  /** What to put before a command so that it runs where the hosts' addresses can be reached. */
  enter: readonly string[];
}

/**
 * Waits until the operator can log in on a host as root: less than that, a mere connection, sshd penalises.
 * @throws with ssh's own words, after 60 seconds
 */
export async function operatorLogsIn(
  { folder, enter }: OperatorsPlace,
  host: string,
  address: string,
): Promise<void> {
  const options = ["BatchMode=yes", "IdentitiesOnly=yes", "StrictHostKeyChecking=yes"];
  options.push("ConnectTimeout=5", "GlobalKnownHostsFile=none");
  // Relative, for ssh gives a meaning to spaces and % in a path.
  options.push("IdentityFile=operator", "UserKnownHostsFile=known_hosts");
  const ssh = ["ssh", "-F", "none", ...options.flatMap((option) => ["-o", option])];
  const login = [...enter, ...ssh, `root@${address}`, "true"];
  let last = "";
  await until(
    async () => {
      const { code, stderr } = await outcome(login, { cwd: folder });
      last = stderr;
      return code === 0;
    },
    { seconds: 60, otherwise: () => `the operator cannot log in on ${host}: ${last}` },
  );
}
