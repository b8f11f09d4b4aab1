// `npm run nixos-cache -- ARGS…`: the command on the lab's stack while there is a lab, else on the stack of this checkout.
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { checkout } from "../tools/checkout.ts";
import { consoleReport } from "../tools/report.ts";
import { toolchain } from "../tools/toolchain.ts";
import { Lab } from "./lab.ts";
import { type Outcome, outcome } from "./outcome.ts";
import { LabStack } from "./stack.ts";

const command = [process.execPath, join(checkout, "cli", "main.ts"), ...process.argv.slice(2)];
const lab = new Lab();
// Asked of the folder first, for whoever has no lab need not be able to have one.
const isMade =
  existsSync(join(lab.folder, "hosts")) &&
  (await lab.status()).every(({ state }) => state !== "not made");
process.exitCode = (await (isMade ? onLab() : onOwnStack())).code;

async function onLab(): Promise<Outcome> {
  const stack = new LabStack(lab, await toolchain(consoleReport()));
  await stack.init();
  return stack.command(command, { show: true });
}

/** As if the person had called it: without the folder that npm puts before their PATH. */
function onOwnStack(): Promise<Outcome> {
  const npms = join(checkout, "node_modules", ".bin");
  const path = (process.env.PATH ?? "").split(delimiter).filter((folder) => folder !== npms);
  return outcome(command, { cwd: checkout, env: { PATH: path.join(delimiter) }, show: true });
}
