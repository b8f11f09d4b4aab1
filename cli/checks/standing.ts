import type { Observation } from "../../machine/observation.ts";
import type { Finding } from "./finding.ts";
import { loginFinding } from "./login.ts";

/** What to do about each note of the helper that does not say so itself (machine/helper/observe.sh). */
const advice: readonly (readonly [words: RegExp, todo: string])[] = [
  [
    /also lets in/,
    "take them out of nix.sshServe.keys and the like, or set onlyOurKeys: true for it",
  ],
  [/takes the place of our settings/, "take what is for that host out of /root/.ssh/config on it"],
  [/also signs with an older key/, "run pulumi up while all of its clients are on"],
];

/** What one look at a machine has shown: that it is not as the last `up` has left it. */
export function standingFindings(observation: Observation): Finding[] {
  switch (observation.state) {
    case "new":
      return [{ wrong: "nothing of this stack is on it yet", todo: "run pulumi up" }];
    case "unknown":
      return [loginFinding(observation.reason)];
    case "known":
      return [
        ...[...new Set(observation.drift.values())].map((wrong) => ({
          wrong,
          todo: wrong.startsWith("its owner has deployed")
            ? "run pulumi up, which says what to deploy"
            : "run pulumi up, which repairs it",
        })),
        ...observation.notes.map((note) => {
          const [, todo] = advice.find(([words]) => words.test(note)) ?? [];
          if (todo !== undefined) return { wrong: note, todo };
          const colon = note.indexOf(": ");
          return colon === -1
            ? { wrong: note, todo: "see docs/reference/messages.md" }
            : { wrong: note.slice(0, colon), todo: note.slice(colon + 2) };
        }),
      ];
  }
}
