import { callHelper } from "../../machine/helper.ts";
import type { Home } from "./home.ts";

/** Where our files stand on a machine. */
export const data = "/var/lib/nixos-cache";
export const ours = "/etc/nixos/nixos-cache";

/** The lab's stack, as machines know it. */
export const stack = "organization/nixos-cache/lab";

/** pai, as the owner of its keys on kalaw. */
export const paiOnKalaw = "pai@kalaw";

/** The name of the newest signing key, in the words of a command on kalaw. */
const newestSigningKey = `$(cut -d: -f1 ${data}/secret/signing/newest)`;

/** A step as `pulumi up` calls it, by the words of machine/helper/main.sh; `access` trusts the newest signing key. */
export function step(words: string, component: string, owner = stack): string {
  const all = words === "access" ? `access ${newestSigningKey}` : words;
  return callHelper(`${all} --owner '${owner} ${component}'`);
}

/** What the steps of a home that is up got on stdin, so that nothing is left to do. */
export interface StepInputs {
  server: string;
  client: string;
  signing: string;
  identity: string;
  /** pai's SSH public key. */
  key: string;
  /** The name of kalaw's signing key. */
  signingKey: string;
}

export async function stepInputs(home: Home): Promise<StepInputs> {
  const server = `${await home.on("kalaw", `cat ${ours}/server.json`)}\n`;
  const client = `${await home.on("pai", `cat ${ours}/client.json`)}\n`;
  const trusted = await home.on("pai", `sed -n 's/.*-keys = //p' ${data}/nix.conf`);
  const identity = `${await home.on("pai", `cat ${data}/secret/identity`)}\n`;
  return {
    server,
    client,
    signing: server + (await home.on("kalaw", `cat ${data}/secret/signing/newest`)),
    identity: `${client}kalaw 22 ${await home.lab.hostKey("kalaw")} ${trusted}\n\n${identity}`,
    key: `${await home.on("pai", `ssh-keygen -y -f ${data}/secret/identity`)}\n`,
    signingKey: await home.on("kalaw", `ls ${data}/secret/signing | grep -v newest`),
  };
}

/**
 * What a step could change on a host: our files, with what is in them, and when those that others read were written;
 * the generations; when the daemon started.
 */
export function traces(home: Home, host: string): Promise<string> {
  return home.on(
    host,
    `find ${data} ${ours} -not -path '${data}/helper/*' -printf '%p %m %u\\n' | sort
     find ${data} ${ours} -type f -not -path '${data}/helper/*' | sort | xargs sha256sum
     find ${data}/authorized_keys ${data}/nix.conf ${data}/secret -type f -printf '%p %i %T@\\n' 2>/dev/null | sort
     ls -d /nix/var/nix/profiles/system-*-link
     systemctl show --property=InvocationID --value nix-daemon`,
  );
}
