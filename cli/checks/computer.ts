import { plainWords } from "../../machine/plain-words.ts";
import { quoted } from "../../machine/quoted.ts";
import { type Check, type Finding, findings } from "./finding.ts";
import { atLeast } from "./versions.ts";

/** The operator's own computer. */
export interface ComputerFacts {
  /** Version of the Node that `pulumi` would run the program with; undefined, there is none on PATH. */
  node: string | undefined;
  /** Version of the Pulumi CLI; undefined, there is none on PATH. */
  pulumi: string | undefined;
  /** The oldest CLI that the program runs on (Pulumi.yaml, `requiredPulumiVersion`). */
  neededPulumi: string;
  /** What the CLI said when it could not read the stack. */
  stackFailure?: string | undefined;
  /** Mistakes in the stack's settings, a line each. */
  mistakes: readonly string[];
  /** The SSH agent, where it is what logs in. */
  agent?: {
    /** Its socket, where the settings name it; else the shell does. */
    own?: string | undefined;
    /** How many keys it holds; undefined, it does not answer. */
    keys: number | undefined;
  };
}

/** Node that runs TypeScript as it is. */
const neededNode = "22.18.0";

const node: Check<ComputerFacts> = ({ node }) => {
  const todo = `install Node ${neededNode} or newer, and put it on PATH before any other`;
  if (node === undefined) return [{ wrong: "there is no Node on PATH", todo }];
  return atLeast(node, neededNode) ? [] : [{ wrong: `Node ${node} is too old`, todo }];
};

const cli: Check<ComputerFacts> = ({ pulumi, neededPulumi }) => {
  const todo = `install the Pulumi CLI ${neededPulumi} or newer: https://www.pulumi.com/docs/install/`;
  if (pulumi === undefined) return [{ wrong: "there is no Pulumi CLI on PATH", todo }];
  return atLeast(pulumi, neededPulumi)
    ? []
    : [{ wrong: `the Pulumi CLI ${pulumi} is too old`, todo }];
};

/** What the CLI says (pulumi 3.226 to 3.259), what it means, and what to do. */
const stackFailures: readonly (readonly [said: RegExp, Finding])[] = [
  [
    /PULUMI_ACCESS_TOKEN|pulumi login/,
    {
      wrong: "you are not logged in to a backend, where Pulumi keeps what it has made",
      todo: "run pulumi login --local, or pulumi login with the backend of your choice",
    },
  ],
  [
    /no Pulumi(\.yaml)? project/i,
    {
      wrong: "there is no Pulumi project in this folder",
      todo: "go to the folder of your Pulumi.yaml, or run nixos-cache init",
    },
  ],
  [
    /no stack selected|no stack named/,
    {
      wrong: "no stack is selected",
      todo: "run pulumi stack select, or nixos-cache init for a new one",
    },
  ],
  [
    /incorrect passphrase/,
    {
      wrong: "the passphrase is not the one of this stack",
      todo: "set PULUMI_CONFIG_PASSPHRASE_FILE to a file with the right one; without it, the secrets of the stack are lost",
    },
  ],
  [
    /passphrase must be set/,
    {
      wrong: "Pulumi has no passphrase to read the stack's secrets with",
      todo: "write it to a file that only you can read, and set PULUMI_CONFIG_PASSPHRASE_FILE to that file",
    },
  ],
];

const stack: Check<ComputerFacts> = ({ stackFailure }) => {
  if (stackFailure === undefined) return [];
  const known = stackFailures.find(([said]) => said.test(stackFailure));
  if (known !== undefined) return [known[1]];
  return [
    {
      wrong: `Pulumi cannot read the stack: ${plainWords(stackFailure)}`,
      todo: "run pulumi stack, and mend what it complains of",
    },
  ];
};

/** Each mistake says after a colon what to write. */
const settings: Check<ComputerFacts> = ({ mistakes }) =>
  mistakes.map((mistake) => {
    const colon = mistake.indexOf(": ");
    return colon === -1
      ? { wrong: mistake, todo: "change it in the stack file" }
      : { wrong: mistake.slice(0, colon), todo: mistake.slice(colon + 2) };
  });

const agent: Check<ComputerFacts> = ({ agent }) => {
  if (agent === undefined || (agent.keys ?? 0) > 0) return [];
  const { own, keys } = agent;
  const who = `the SSH agent${own === undefined ? "" : ` at ${own} (nixos-cache:agentSocket)`}`;
  if (keys === 0) {
    const todo = own === undefined ? "run ssh-add" : `run SSH_AUTH_SOCK=${quoted(own)} ssh-add`;
    return [{ wrong: `${who} holds no keys`, todo }];
  }
  const todo =
    own === undefined
      ? "start one: eval $(ssh-agent), then run ssh-add; or set nixos-cache:privateKey"
      : "start it, or correct nixos-cache:agentSocket";
  return [{ wrong: `${who} does not answer`, todo }];
};

export const computerFindings = (facts: ComputerFacts): Finding[] =>
  findings([node, cli, stack, settings, agent], facts);
