import { existsSync } from "node:fs";
import { appendFile, readFile, writeFile } from "node:fs/promises";
import { isIPv4 } from "node:net";
import { homedir } from "node:os";
import { relative } from "node:path";
import { fileURLToPath } from "node:url";
import confirm from "@inquirer/confirm";
import input from "@inquirer/input";
import { z } from "zod";
import { parseStackConfig } from "../../config/stack-config.ts";
import { PrivateKeyError, parsedPrivateKey } from "../../machine/private-key.ts";
import { keysOfAgent } from "../agent.ts";
import { type Found, found, seenAt } from "../found.ts";
import { importLines } from "../import-lines.ts";
import { type MachineSpec, machineSpec } from "../machine-spec.ts";
import { pulumi } from "../pulumi.ts";
import { type Machine, type NewStack, settingsOf, stackFile } from "../stack-file.ts";
import { type Place, UnknownHostKey, UsersSsh } from "../users-ssh.ts";

export interface InitOptions {
  /** Each as `machineSpec` reads it. */
  server: string[];
  client: string[];
  /** Name of the new stack. */
  stack: string;
  /** File of the private key that Pulumi logs in with. @default the SSH agent */
  identity?: string;
  sshConfig?: string;
  /** Write without asking. */
  yes?: boolean;
}

/**
 * `nixos-cache init`: looks at the machines by the person's own ssh, shows what it found, and writes the project and the
 * stack file. It changes nothing on the machines, and overwrites no file.
 */
export async function init(options: InitOptions): Promise<void> {
  const isTerminal = process.stdin.isTTY === true && process.stdout.isTTY === true;
  const file = `Pulumi.${options.stack}.yaml`;
  await refuseToOverwrite(file);
  await checkBackend();
  const specs = await machines(options, isTerminal);
  const ssh = new UsersSsh(options.sshConfig);

  // The servers first: the clients are asked how these look from there.
  const servers = await all(specs.servers, isTerminal, (spec) => lookAt(ssh, spec, [], isTerminal));
  const clients = await all(specs.clients, isTerminal, (spec) =>
    lookAt(ssh, spec, servers.flatMap(placesOf), isTerminal),
  );
  for (const look of [...servers, ...clients]) describe(look);

  const stack: NewStack = {
    servers: servers.map((server) => ({ ...server.machine, address: address(server, clients) })),
    clients: clients.map(({ machine }) => machine),
  };
  checkSettings(stack);
  const key = await privateKey(options, servers[0]?.place, isTerminal);

  const text = stackFile(stack);
  console.log(`\n${file}:\n\n${text}`);
  if (isTerminal && !options.yes && !(await confirm({ message: `Write ${file}?` }))) return;
  await write(options.stack, file, text, key);
  console.log(nextSteps([...servers, ...clients]));
}

interface Look {
  machine: Machine;
  place: Place;
  found: Found;
  /** How an address of a server looks from here. */
  sees: (address: string, hostKey: string) => ReturnType<typeof seenAt>;
}

async function refuseToOverwrite(file: string): Promise<void> {
  if (existsSync(file) && /^config:/m.test(await readFile(file, "utf8"))) {
    throw new Error(
      `${file} has settings already, and init overwrites nothing: edit it, or name another stack with --stack`,
    );
  }
}

/** What would otherwise fail when all else is done. */
async function checkBackend(): Promise<void> {
  const { url } = backend.parse(JSON.parse(await pulumi(["whoami", "--json"])));
  const { PULUMI_CONFIG_PASSPHRASE: passphrase, PULUMI_CONFIG_PASSPHRASE_FILE: file } = process.env;
  // Pulumi's own service encrypts by itself; an empty passphrase is one.
  if (!/^https?:/.test(url) && passphrase === undefined && !file) {
    throw new Error(
      "Pulumi encrypts the secrets of the stack with a passphrase, and has none: write one to a file that only you can read, " +
        "and set PULUMI_CONFIG_PASSPHRASE_FILE to that file",
    );
  }
}

const backend = z.looseObject({ url: z.string().default("") });

async function machines({ server, client }: InitOptions, isTerminal: boolean) {
  const given = { servers: server.map(machineSpec), clients: client.map(machineSpec) };
  if (given.servers.length > 0) return given;
  if (!isTerminal) {
    throw new Error("no machine is named: write --server root@kalaw.lan --client root@pai.lan");
  }
  const more = async (message: string, isNeeded: boolean): Promise<MachineSpec[]> => {
    const specs: MachineSpec[] = [];
    for (;;) {
      const text = await input({ message, validate: (text) => valid(text, isNeeded && !specs[0]) });
      if (text.trim() === "") return specs;
      specs.push(machineSpec(text));
    }
  };
  return {
    servers: await more("A machine that serves, like root@kalaw.lan (empty: no more):", true),
    clients: [
      ...given.clients,
      ...(await more("A machine that fetches, like root@pai.lan (empty: no more):", false)),
    ],
  };
}

function valid(text: string, isNeeded: boolean): true | string {
  if (text.trim() === "") return isNeeded ? "Write at least one." : true;
  try {
    machineSpec(text);
    return true;
  } catch (error) {
    return (error as Error).message;
  }
}

async function lookAt(
  ssh: UsersSsh,
  spec: MachineSpec,
  addresses: readonly string[],
  isTerminal: boolean,
): Promise<Look> {
  const place = await ssh.place(spec);
  const answer = await ssh.ask("look", spec, addresses).catch(async (error: Error) => {
    if (!(error instanceof UnknownHostKey) || !isTerminal) throw error;
    console.log(
      `\nYour ssh does not know ${spec.host}, which shows the host key ${error.fingerprint}.\n` +
        "On its console run: ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub\n" +
        "ssh asks you now. Say yes only if both are the same.\n",
    );
    await ssh.askPerson(spec);
    return ssh.ask("look", spec, addresses);
  });
  const seen = found(answer, spec.host);
  if (place.isBehind) {
    throw new Error(
      `your ssh reaches ${spec.host} by a jump or a proxy, which Pulumi does not: name it by an address that this computer reaches directly`,
    );
  }
  return {
    place,
    found: seen,
    sees: (address, hostKey) => seenAt(answer, address, hostKey),
    machine: {
      name: spec.name ?? seen.hostname.toLowerCase(),
      place,
      hostKey: seen.hostKey,
      isDeployed: seen.deployed !== undefined,
    },
  };
}

/** By its name if it has one, as people write it; else as the operator reaches it. */
function addressesOf({ machine: { name, place } }: Look): string[] {
  return [...new Set([...(isIPv4(place.host) ? [] : [place.host]), name, place.host])];
}

/** The words of the question `look`. */
const placesOf = (server: Look): string[] =>
  addressesOf(server).flatMap((address) => [address, String(server.place.port)]);

/** The address by which all clients see the server, or else most of them. */
function address(server: Look, clients: readonly Look[]): string {
  const { hostKey, name } = server.machine;
  const others = clients.filter(({ machine }) => machine.name !== name);
  const seers = (address: string) =>
    others.filter(({ sees }) => sees(address, hostKey) === "seen").length;
  const [best = name] = addressesOf(server).sort((a, b) => seers(b) - seers(a));
  for (const { machine, sees } of others) {
    const complaint = {
      seen: undefined,
      unknown: `does not know the name ${best}: add it to its networking.hosts, or change servers.${name}.address`,
      silent: `gets no answer at ${best} port ${server.place.port}: see the firewall of ${name}`,
      another: `sees another machine at ${best} than ${name}: change servers.${name}.address`,
    }[sees(best, hostKey)];
    console.log(
      complaint === undefined
        ? `${machine.name} reaches ${name} as ${best}`
        : `! ${machine.name} ${complaint}`,
    );
  }
  return best;
}

function describe({ machine, place, found: { words, hostKey } }: Look): void {
  const lines = [...words, `host key: ${hostKey}`].map((line) => `  ${line}`);
  console.log([`${machine.name} (${place.user}@${place.host})`, ...lines].join("\n"));
}

/** What `up` would refuse, before anything is written. */
function checkSettings(stack: NewStack): void {
  const { servers, clients } = settingsOf(stack);
  parseStackConfig({
    "nixos-cache:servers": JSON.stringify(servers),
    "nixos-cache:clients": JSON.stringify(clients),
  });
}

/** The operator's private key, checked; undefined, the agent has it. */
async function privateKey(
  { identity }: InitOptions,
  place: Place | undefined,
  isTerminal: boolean,
): Promise<string | undefined> {
  let file = identity;
  if (file === undefined) {
    if (((await keysOfAgent()) ?? 0) > 0) return undefined;
    if (!isTerminal) {
      throw new Error(
        "there is no SSH agent that holds a key: run ssh-add, or name your private key, like --identity ~/.ssh/id_ed25519",
      );
    }
    const used = place?.identityFiles.map(inHome).find((file) => existsSync(file));
    file = await input({
      message: "The private key that you log in with (goes encrypted into the stack file):",
      ...(used === undefined ? {} : { default: used }),
    });
  }
  const text = await readFile(inHome(file), "utf8").catch(() => {
    throw new Error(`${file} cannot be read: name the file of your private key with --identity`);
  });
  try {
    parsedPrivateKey(text);
  } catch (error) {
    if (!(error instanceof PrivateKeyError)) throw error;
    throw new Error(
      `${file} cannot be used, for ${error.message}: run ssh-add and leave --identity out, or name another file`,
    );
  }
  return text;
}

const inHome = (file: string) => file.replace(/^~(?=\/)/, homedir());

async function write(stack: string, file: string, text: string, key: string | undefined) {
  if (!existsSync("Pulumi.yaml")) await writeFile("Pulumi.yaml", await project(), { flag: "wx" });
  const stacks = JSON.parse(await pulumi(["stack", "ls", "--json"])) as { name: string }[];
  const isThere = stacks.some(({ name }) => name === stack || name.endsWith(`/${stack}`));
  // It writes the line for the passphrase into the stack file.
  await pulumi(isThere ? ["stack", "select", stack] : ["stack", "init", stack]);
  await refuseToOverwrite(file);
  await appendFile(file, text);
  if (key !== undefined) {
    await pulumi(["config", "set", "--stack", stack, "--secret", "nixos-cache:privateKey"], key);
  }
}

/** This program's own project file, with its path as seen from the current folder. */
async function project(): Promise<string> {
  const text = await readFile(new URL("../../Pulumi.yaml", import.meta.url), "utf8");
  const extension = import.meta.url.slice(import.meta.url.lastIndexOf("."));
  const program = fileURLToPath(new URL(`../../index${extension}`, import.meta.url));
  return text.replace(/^main: .*$/m, `main: ${relative(process.cwd(), program)}`);
}

function nextSteps(looks: readonly Look[]): string {
  const missing = new Map(
    looks.flatMap(({ machine, found: { module, folder } }) =>
      module === undefined ? [] : [[machine.name, importLines(module, folder)] as const],
    ),
  );
  const owners = looks.filter(({ machine }) => machine.isDeployed);
  return [
    ...[...missing].flatMap(([name, lines]) => ["", `On ${name}:`, ...lines]),
    ...owners.flatMap(({ machine, found: { deployed } }) => [
      "",
      `${machine.name} is deployed by ${deployed}, so it has rebuild: { by: owner }: \`pulumi up\` says what to deploy.`,
    ]),
    "",
    "Next:",
    "  pulumi preview    shows what will be made, and changes nothing",
    "  pulumi up         asks, then does it",
    "  nixos-cache try   builds a path and fetches it",
  ].join("\n");
}

/** What is wrong with any of them is told together. On a terminal one after the other, for each may have a question. */
async function all<T, U>(
  items: readonly T[],
  isTerminal: boolean,
  work: (item: T) => Promise<U>,
): Promise<U[]> {
  const done: U[] = [];
  const failures: string[] = [];
  const each = async (item: T) => {
    try {
      return [await work(item)];
    } catch (error) {
      failures.push((error as Error).message);
      return [];
    }
  };
  if (isTerminal) for (const item of items) done.push(...(await each(item)));
  else done.push(...(await Promise.all(items.map(each))).flat());
  if (failures.length > 0) throw new Error(failures.join("\n"));
  return done;
}
