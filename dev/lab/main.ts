import { spawn } from "node:child_process";
import { once } from "node:events";
import { constants } from "node:os";
import { Command } from "commander";
import { Lab } from "./lab.ts";

const lab = new Lab();
const report = (line: string) => console.error(line);

const program = new Command("npm run lab --")
  .description(`Throwaway hosts to try things on: ${lab.hosts.join(" and ")}.`)
  .usage("COMMAND")
  .enablePositionalOptions()
  .showHelpAfterError()
  .addHelpText(
    "after",
    "\nIt needs root on a Debian machine. The environment variable NIXOS_CACHE_LAB names another\n" +
      "folder to keep the lab in; labs in different folders have nothing to do with each other.",
  );

program
  .command("up")
  .description("make the hosts, start those that are off, repair what a crash has left")
  .action(() => lab.up(report));

program
  .command("down")
  .description("end the hosts and delete all that they are made of")
  .action(() => lab.down(report));

program
  .command("status")
  .description("say how each host is: running, cut, off or not made")
  .action(async () => {
    for (const { host, state, address } of await lab.status())
      console.log(`${host.padEnd(16)}${state.padEnd(10)}${address}`);
  });

program
  .command("exec")
  .description("run a command on a host as root, also when it is cut off: exec kalaw -- ls -l /")
  .argument("<host>")
  .argument("<command...>")
  .passThroughOptions()
  .action(async (host: string, argv: string[]) => {
    // passThroughOptions hands the separator on too.
    const own = argv[0] === "--" ? argv.slice(1) : argv;
    const [command, ...args] = await lab.command(host, own);
    const child = spawn(command, args, { stdio: "inherit" });
    // Ctrl-C reaches the command by itself, and its answer is what counts.
    process.on("SIGINT", () => {});
    const [code, signal] = (await once(child, "exit")) as [number | null, NodeJS.Signals | null];
    process.exitCode = code ?? 128 + (signal === null ? 0 : constants.signals[signal]);
  });

const onHost = [
  ["cut", "cut", "take a host off the network, as if its cable was unplugged"],
  ["mend", "mend", "put a host back on the network"],
  ["reboot", "reboot", "reboot a host in good order, and wait until it is back"],
  ["power-off", "powerOff", "turn a host off, as if its plug was pulled"],
  ["power-on", "powerOn", "turn a host on, and wait until it lets in"],
] as const;
for (const [name, method, description] of onHost)
  program
    .command(name)
    .description(description)
    .argument("<host>")
    .action((host: string) => lab[method](host, report));

try {
  await program.parseAsync();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
