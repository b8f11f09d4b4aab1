import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { ConfigError } from "../../config/config-error.ts";
import { bareHostKey } from "../../machine/host-key.ts";
import { agentSocketOf, keysOfAgent } from "../../machine/ssh-agent.ts";
import { type ComputerFacts, computerFindings } from "../checks/computer.ts";
import { fetchFinding } from "../checks/fetching.ts";
import type { Finding } from "../checks/finding.ts";
import { loginFinding } from "../checks/login.ts";
import { machineFindings } from "../checks/machine.ts";
import { standingFindings } from "../checks/standing.ts";
import { type Look, lookAtMachines } from "../look-at-machines.ts";
import { PulumiError } from "../pulumi.ts";
import { addressOf } from "../roles.ts";
import { readKeys, readSettings, readStackName, type Stack } from "../stack.ts";

/** What is wrong in one place: this computer, or a machine. */
export interface Diagnosis {
  place: string;
  findings: Finding[];
}

/**
 * `nixos-cache doctor`: everything that is wrong, and what to do about it.
 * @returns whether all is well
 */
export async function doctor({ json = false }: { json?: boolean }): Promise<boolean> {
  const { facts, stack } = await lookAtComputer();
  const all: Diagnosis[] = [
    { place: "this computer", findings: computerFindings(facts) },
    ...(stack === undefined ? [] : await diagnoses(stack)),
  ];
  console.log(json ? JSON.stringify(all) : inWords(all));
  if (!json && stack === undefined) {
    console.log("The machines were not looked at. Mend this first, and run this again.");
  }
  return stack !== undefined && all.every(({ findings }) => findings.length === 0);
}

async function lookAtComputer(): Promise<{ facts: ComputerFacts; stack: Stack | undefined }> {
  const [node, version] = await Promise.all([
    firstLine("node", ["--version"]),
    firstLine("pulumi", ["version"]),
  ]);
  const facts: ComputerFacts = {
    node: node?.replace(/^v/, ""),
    pulumi: version?.replace(/^v/, ""),
    neededPulumi: neededPulumi(),
    mistakes: [],
  };
  if (version === undefined) return { facts, stack: undefined };
  try {
    const name = await readStackName();
    const { settings, login } = await readSettings();
    const socket = agentSocketOf(settings.agentSocket);
    if (settings.privateKey === undefined && socket !== undefined) {
      facts.agent = { own: settings.agentSocket, keys: await keysOfAgent(socket) };
    }
    return { facts, stack: { name, settings, login: login(), keys: await readKeys() } };
  } catch (error) {
    if (error instanceof PulumiError) facts.stackFailure = error.said;
    else if (error instanceof ConfigError) facts.mistakes = error.message.split("\n");
    else throw error;
    return { facts, stack: undefined };
  }
}

/** What is wrong with each machine. */
async function diagnoses(stack: Stack): Promise<Diagnosis[]> {
  const looks = await lookAtMachines(stack, "doctor", (name) => {
    const caches = cachesOf(name, stack);
    const words = caches.flatMap(({ address, port, hostKey }) => [
      address,
      String(port),
      ...bareHostKey(hostKey).split(" "),
    ]);
    // Each cache may take ten seconds to say nothing.
    return { words, seconds: 30 + 10 * caches.length };
  });
  return looks.map((look) => ({ place: look.name, findings: findingsOf(look, stack) }));
}

function findingsOf({ name, machine, observation, answer, at }: Look, stack: Stack): Finding[] {
  // Neither can say more than the other of a machine that lets nobody in.
  if (answer instanceof Error) return [loginFinding(answer.message)];
  const caches = cachesOf(name, stack);
  // Of what is not there yet, nothing can be wrong.
  const isSetUp = observation.state === "known";
  return [
    ...standingFindings(observation),
    ...machineFindings({
      answer,
      at,
      serves: isSetUp && Object.hasOwn(stack.settings.servers, name),
      isRebuiltByPulumi: machine.rebuild?.by !== "owner",
      caches: isSetUp ? caches : [],
    }),
    ...caches.flatMap((cache) => fetchFinding(answer, cache, { name, hasKey: isSetUp })),
  ];
}

/** The servers that a machine fetches from, as it should reach them. */
function cachesOf(name: string, { settings, keys }: Stack) {
  return (settings.clients[name]?.servers ?? []).map((server) => ({
    name: server,
    ...addressOf(server, settings),
    trustedKey: keys.servers[server]?.trustedPublicKey,
  }));
}

function inWords(all: readonly Diagnosis[]): string {
  const lines = all.flatMap(({ place, findings }) =>
    findings.length === 0
      ? [`${place}: all is well`]
      : [
          `${place}:`,
          ...findings.flatMap(({ wrong, todo }) => [`  - ${wrong}`, `    What to do: ${todo}`]),
        ],
  );
  return lines.join("\n");
}

const run = promisify(execFile);

/** The first line that a program prints; undefined where it cannot be run. */
async function firstLine(program: string, args: string[]): Promise<string | undefined> {
  try {
    const env = { ...process.env, PULUMI_SKIP_UPDATE_CHECK: "true" };
    return (await run(program, args, { env })).stdout.split("\n")[0];
  } catch {
    return undefined;
  }
}

/** The oldest Pulumi CLI that this program's own project file allows. */
function neededPulumi(): string {
  const file = new URL("../../Pulumi.yaml", import.meta.url);
  const version = /^requiredPulumiVersion: *["']?>= *([\d.]+)/m.exec(readFileSync(file, "utf8"));
  if (version?.[1] === undefined) {
    throw new Error(
      `${fileURLToPath(file)} has no requiredPulumiVersion: install this program anew`,
    );
  }
  return version[1];
}
