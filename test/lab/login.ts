import type { Lab } from "../../dev/lab/lab.ts";
import { type Outcome, outcome } from "../../dev/lab/outcome.ts";

/** Runs a command line on a host as the operator does: over the network, with the lab's key. */
export function login(lab: Lab, host: string, command: string, user = "root"): Promise<Outcome> {
  const options = ["BatchMode=yes", "IdentitiesOnly=yes", "StrictHostKeyChecking=yes"];
  options.push("IdentityFile=operator", "UserKnownHostsFile=known_hosts", "ConnectTimeout=3");
  const ssh = ["ssh", "-F", "none", ...options.flatMap((option) => ["-o", option])];
  return outcome([...lab.enter, ...ssh, `${user}@${lab.address(host)}`, command], {
    cwd: lab.folder,
  });
}
