import * as pulumi from "@pulumi/pulumi";
import { roleVersion } from "../machine/helper.ts";
import type { Observation } from "../machine/observation.ts";
import { inWords } from "./in-words.ts";
import type { Declared } from "./machine.ts";
import { type ClientSettings, type ServerSettings, settingsJson } from "./settings.ts";
import { whenKnown } from "./when-known.ts";

/** A machine's part as a server or as a client, as the stack wants it. */
export interface WantedRole {
  /** The machine's name. */
  name: string;
  role: "server" | "client";
  settings: pulumi.Output<ServerSettings> | pulumi.Output<ClientSettings>;
  /** The last of its steps. */
  ready: Declared;
}

/**
 * Says which machines an update rebuilds: in a preview it would, after an update it has. It takes no evaluation: a machine is
 * rebuilt for a role that its running system does not have, or has with other settings or another module.
 * @param observed what the machines have said, before anything was done; of the others it is not known
 * @param stands what to say besides once all is done
 */
export function tellOfRebuilds(
  roles: readonly WantedRole[],
  observed: ReadonlyMap<string, Observation>,
  stands: string,
  parent: pulumi.ComponentResource | undefined,
): void {
  const preview = pulumi.runtime.isDryRun();
  // The engine would otherwise end before the answer.
  const done = pulumi.runtime.rpcKeepAlive();
  const answers = Promise.all(
    roles.map(async ({ name, role, settings }) => {
      const known = await whenKnown<ServerSettings | ClientSettings>(settings);
      const wanted = known === undefined ? undefined : roleVersion(settingsJson(known));
      return [name, wouldRebuild(observed.get(name), role, wanted)] as const;
    }),
  );
  const taken: pulumi.Output<unknown> = pulumi.all(
    roles.map(({ ready }) => pulumi.output(ready?.stdout)),
  );
  Promise.all([answers, preview || succeeds(taken)])
    .then(([answers, told]) => {
      if (!told) return;
      const words = rebuildsInWords(answers, preview ? "would rebuild" : "has rebuilt");
      return pulumi.log.info(preview ? words : `${words} ${stands}`, parent);
    })
    .finally(done);
}

/** Whether there comes a value. An error is told where it happens. */
function succeeds(output: pulumi.Output<unknown>): Promise<boolean> {
  return new Promise((resolve) => {
    pulumi
      .recover(
        output.apply(() => true),
        () => false,
      )
      .apply(resolve);
  });
}

/** @returns undefined where nobody knows */
function wouldRebuild(
  observation: Observation | undefined,
  role: "server" | "client",
  wanted: string | undefined,
): boolean | undefined {
  if (observation === undefined || observation.state === "unknown") return undefined;
  if (observation.state === "new") return true;
  return wanted === undefined ? undefined : observation.runs.get(role) !== wanted;
}

/** @param answers for each role of each machine, whether it takes a rebuild; undefined, nobody knows */
export function rebuildsInWords(
  answers: readonly (readonly [name: string, rebuild: boolean | undefined])[],
  verb = "would rebuild",
): string {
  const names = (rebuild: boolean | undefined) => [
    ...new Set(answers.flatMap(([name, answer]) => (answer === rebuild ? [name] : []))),
  ];
  const yes = names(true);
  const unknown = names(undefined).filter((name) => !yes.includes(name));
  const first = `The update ${verb} ${inWords(yes) || "no machine"}`;
  return unknown.length === 0 ? `${first}.` : `${first}; of ${inWords(unknown)} that is not known.`;
}
