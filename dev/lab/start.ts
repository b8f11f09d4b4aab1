// `npm start`: the lab, the tools, a real `pulumi up`, and a path that went from one host to the other.
import { join, relative } from "node:path";
import { consoleReport } from "../tools/report.ts";
import { toolchain } from "../tools/toolchain.ts";
import { buildNewPath, fetchPath } from "./demonstration.ts";
import { Lab } from "./lab.ts";
import { LabStack } from "./stack.ts";

const report = consoleReport();
const lab = new Lab();
const [server = "", client = ""] = lab.hosts;

try {
  report("The lab: two throwaway hosts on this computer");
  await lab.up(report);
  report("The tools: Pulumi and its plugin");
  const tools = await toolchain(report);
  const stack = new LabStack(lab, tools);
  await stack.init();
  report("pulumi up");
  await stack.run(["up", "--yes", "--skip-preview"], { show: true });
  const outputs = JSON.parse((await stack.run(["stack", "output", "--json"])).stdout);
  if (!outputs.servers?.[server] || !outputs.clients?.[client]) {
    throw new Error(
      `The lab's settings have been changed: ${client} no longer fetches from ${server}.\n` +
        'Change them back, or begin anew: "npm run lab -- down", then "npm start".',
    );
  }
  report("A path from one host to the other");
  const { path, signedBy, milliseconds } = await fetchPath(
    lab,
    client,
    await buildNewPath(lab, server),
  );

  console.log(`
  ${server} serves its store over SSH, to the keys it knows and to nobody else.
  ${client} fetches from it: ssh://nix-ssh@${server}

  Just now ${server} built  ${path}
  and ${client} fetched it in ${milliseconds} ms, signed by ${signedBy}${
    tools.commandPlugin === "stand-in"
      ? "\n\n  (With our stand-in for Pulumi's command plugin: the official one could not be had.)"
      : ""
  }

  What to try next:
    npm run pulumi -- preview --diff          nothing to do; change the settings and see:
                                              ${relative(process.cwd(), join(stack.folder, "Pulumi.lab.yaml"))}
    npm run pulumi -- config set rotation 2   then up: new keys, and no failed fetch
    npm run lab -- exec ${client} -- cat /etc/nix/nix.conf
    npm run lab -- power-off ${server}          a build on ${client} goes on without its cache
    npm run pulumi -- destroy                 both hosts as they were
    npm run lab -- down                       nothing left
  More of this: docs/tutorial.md. Your own machines: README.md.
`);
} catch (error) {
  console.error(`\n${error instanceof Error ? error.message : error}`);
  process.exitCode = 1;
}
