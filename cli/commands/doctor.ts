import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { promisify } from "node:util";
import { ConfigError } from "../../config/config-error.ts";
import type { MachineSettings } from "../../config/machines.ts";
import type { StackConfig } from "../../config/stack-config.ts";
import { bareHostKey } from "../../machine/host-key.ts";
import { observe } from "../../machine/observe.ts";
import type { SshLogin } from "../../machine/ssh-login.ts";
import { keysOfAgent } from "../agent.ts";
import { ask } from "../ask.ts";
import { type ComputerFacts, computerFindings } from "../checks/computer.ts";
import { fetchFinding } from "../checks/fetching.ts";
import type { Finding } from "../checks/finding.ts";
import { loginFinding } from "../checks/login.ts";
import { machineFindings } from "../checks/machine.ts";
import { standingFindings } from "../checks/standing.ts";
import { PulumiError } from "../pulumi.ts";
import { addressOf, machinesInOrder } from "../roles.ts";
import { type Keys, readKeys, readSettings, readStackName } from "../stack.ts";

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
    ...(stack === undefined ? [] : await lookAtMachines(stack)),
  ];
  console.log(json ? JSON.stringify(all) : inWords(all));
  if (!json && stack === undefined) {
    console.log("The machines were not looked at. Mend this first, and run this again.");
  }
  return stack !== undefined && all.every(({ findings }) => findings.length === 0);
}

/** What it takes to look at the machines. */
interface Known {
  name: string;
  settings: StackConfig;
  login: SshLogin;
  keys: Keys;
}

async function lookAtComputer(): Promise<{ facts: ComputerFacts; stack: Known | undefined }> {
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
    const usesAgent = settings.privateKey === undefined && process.env.SSH_AUTH_SOCK;
    if (usesAgent) facts.agent = { keys: await keysOfAgent() };
    return { facts, stack: { name, settings, login: login(), keys: await readKeys() } };
  } catch (error) {
    if (error instanceof PulumiError) facts.stackFailure = error.said;
    else if (error instanceof ConfigError) facts.mistakes = error.message.split("\n");
    else throw error;
    return { facts, stack: undefined };
  }
}

/** All machines at once. */
function lookAtMachines(stack: Known): Promise<Diagnosis[]> {
  return Promise.all(
    machinesInOrder(stack.settings).map(async ([name, machine]) => ({
      place: name,
      findings: await lookAt(name, machine, stack),
    })),
  );
}

async function lookAt(
  name: string,
  { connection, rebuild }: MachineSettings,
  { name: stack, settings, login, keys }: Known,
): Promise<Finding[]> {
  const caches = (settings.clients[name]?.servers ?? []).map((server) => ({
    name: server,
    ...addressOf(server, settings),
    trustedKey: keys.servers[server]?.trustedPublicKey,
  }));
  const words = caches.flatMap(({ address, port, hostKey }) => [
    address,
    String(port),
    ...bareHostKey(hostKey).split(" "),
  ]);
  const [observation, answer] = await Promise.all([
    observe({ ...connection, component: name }, { stack, login }),
    // Each cache may take ten seconds to say nothing.
    ask("doctor", connection, login, words, 30 + 10 * caches.length).catch((error: Error) => error),
  ]);
  // Neither can say more than the other of a machine that lets nobody in.
  if (answer instanceof Error) return [loginFinding(answer.message)];
  // Of what is not there yet, nothing can be wrong.
  const isSetUp = observation.state === "known";
  return [
    ...standingFindings(observation),
    ...machineFindings({
      answer,
      at: Date.now(),
      serves: isSetUp && Object.hasOwn(settings.servers, name),
      isRebuiltByPulumi: rebuild?.by !== "owner",
      caches: isSetUp ? caches : [],
    }),
    ...caches.flatMap((cache) => fetchFinding(answer, cache, { name, hasKey: isSetUp })),
  ];
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

function neededPulumi(): string {
  const text = readFileSync(new URL("../../Pulumi.yaml", import.meta.url), "utf8");
  return /^requiredPulumiVersion: *["']?>= *([\d.]+)/m.exec(text)?.[1] ?? "3.226.0";
}
