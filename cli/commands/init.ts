import confirm from "@inquirer/confirm";
import { parseStackConfig } from "../../config/stack-config.ts";
import { lookAtAll, lookInWords } from "../init/look.ts";
import { namedMachines } from "../init/named-machines.ts";
import { checkBackend, refuseToOverwrite, writeProject } from "../init/new-project.ts";
import { nextSteps } from "../init/next-steps.ts";
import { operatorsKey } from "../init/operators-key.ts";
import { placesOf, serverAddress } from "../init/server-address.ts";
import { type NewStack, settingsOf, stackFile } from "../init/stack-file.ts";
import { UsersSsh } from "../init/users-ssh.ts";

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
  const named = await namedMachines(options, isTerminal);
  const ssh = new UsersSsh(options.sshConfig);

  // The servers first: the clients are asked how these look from there.
  const servers = await lookAtAll(ssh, named.servers, [], isTerminal);
  const places = servers.flatMap(({ machine }) => placesOf(machine));
  const clients = await lookAtAll(ssh, named.clients, places, isTerminal);
  const looks = [...servers, ...clients];
  const addressed = servers.map((server) => ({ server, ...serverAddress(server, clients) }));
  for (const look of looks) console.log(lookInWords(look));
  for (const line of addressed.flatMap(({ words }) => words)) console.log(line);

  const stack: NewStack = {
    servers: addressed.map(({ server, address }) => ({ ...server.machine, address })),
    clients: clients.map(({ machine }) => machine),
  };
  checkSettings(stack);
  const key = await operatorsKey(options.identity, servers[0]?.place, isTerminal);

  const text = stackFile(stack);
  console.log(`\n${file}:\n\n${text}`);
  if (isTerminal && !options.yes && !(await confirm({ message: `Write ${file}?` }))) {
    console.log("Nothing was written.");
    return;
  }
  await writeProject({ stack: options.stack, file, text, key });
  console.log(nextSteps(looks));
}

/** What `up` would refuse, before anything is written. */
function checkSettings(stack: NewStack): void {
  const { servers, clients } = settingsOf(stack);
  parseStackConfig({
    "nixos-cache:servers": JSON.stringify(servers),
    "nixos-cache:clients": JSON.stringify(clients),
  });
}
