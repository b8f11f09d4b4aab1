// `npm run pulumi -- ARGS…`: the Pulumi CLI on the lab's stack.
import { consoleReport } from "../tools/report.ts";
import { toolchain } from "../tools/toolchain.ts";
import { Lab } from "./lab.ts";
import { LabStack } from "./stack.ts";

const lab = new Lab();
const off = (await lab.status()).filter(({ state }) => state === "not made");
if (off.length > 0) {
  console.error('The lab is not there yet: run "npm start", or "npm run lab -- up".');
  process.exitCode = 1;
} else {
  const stack = new LabStack(lab, await toolchain(consoleReport()));
  await stack.init();
  process.exitCode = (await stack.attempt(process.argv.slice(2), { show: true })).code;
}
