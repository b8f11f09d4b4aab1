// `node dev/bench/protocols.ts [SUITE…]`: how long a client takes to fetch by each of Nix's protocols over SSH, with and without
// the filter before the daemon (nixos/ssh-ng-filter.py), on hosts of each age. Without the guard, which is the same for all.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Lab } from "../lab/lab.ts";
import { LabStack } from "../lab/stack.ts";
import { type Suite, suites } from "../lab/suite.ts";
import { consoleReport } from "../tools/report.ts";
import { toolchain } from "../tools/toolchain.ts";

const runs = 3;
/** What takes longer counts as a fetch that hangs, in seconds. */
const patience = 180;
/** Each way, in milliseconds. */
const delay = 5;
/** Of the delaying proxy, at the bridge of the lab's network. */
const [bridge, proxyPort] = ["192.0.2.1", "2222"];

const stores = {
  ssh: "ssh://nix-ssh@kalaw",
  "ssh-ng": "ssh-ng://nix-ssh@kalaw",
  // By the machine's own program, as nobody should serve it.
  "ssh-ng, no filter": "ssh-ng://root@kalaw",
};
const oneConnection =
  "-o ControlMaster=auto -o ControlPath=/root/master -o ControlPersist=yes -o LogLevel=ERROR";
const late = `-o HostName=${bridge} -o Port=${proxyPort}`;
const ways = {
  "": "",
  ", one connection": oneConnection,
  [`, ${2 * delay} ms`]: late,
  [`, ${2 * delay} ms, one connection`]: `${late} ${oneConnection}`,
};
const identity = "/var/lib/nixos-cache/secret/identity";

const report = consoleReport();
const tools = await toolchain(report);
for (const suite of suites.filter((it) => process.argv.length < 3 || process.argv.includes(it))) {
  console.log(`Hosts of ${suite}, seconds, medians of ${runs}`);
  console.table(await measure(suite));
}

async function measure(suite: Suite): Promise<Record<string, Record<string, number | string>>> {
  const lab = new Lab(await mkdtemp(join(tmpdir(), "nixos-cache-")), [
    { name: "kalaw", suite },
    { name: "pai", suite },
  ]);
  try {
    await lab.up(() => {});
    const stack = new LabStack(lab, tools);
    await stack.init();
    await stack.run(["up", "--yes", "--skip-preview"]);
    await letRootIn(lab);
    await startProxy(lab);
    return await rows(lab);
  } finally {
    await lab.down(() => {});
    await rm(lab.folder, { recursive: true, force: true });
  }
}

/** The client's key is let in as root too: the way around the filter, and for `ssh cat`. */
async function letRootIn(lab: Lab): Promise<void> {
  const key = await on(lab, "pai", `ssh-keygen -y -f ${identity}`);
  await on(lab, "kalaw", "cat >>/root/.ssh/authorized_keys", `${key}\n`);
  await on(lab, "pai", "cat >/root/known", `kalaw ${await lab.hostKey("kalaw")}\n`);
}

/** It ends with the lab's network. */
async function startProxy(lab: Lab): Promise<void> {
  const file = fileURLToPath(new URL("delaying-proxy.ts", import.meta.url));
  const [command = "", ...args] = lab.enter;
  const proxy = spawn(
    command,
    [...args, process.execPath, file, proxyPort, lab.address("kalaw"), "22", String(delay)],
    { stdio: ["ignore", "pipe", "inherit"] },
  );
  await once(proxy.stdout, "data");
}

async function rows(lab: Lab): Promise<Record<string, Record<string, number | string>>> {
  const big = "head -c 400000000 /dev/urandom >/root/big && nix-store --add /root/big";
  const many =
    "mkdir /root/many && cd /root/many && for i in $(seq 2000); do echo $i >$i; done && nix-store --add *";
  const fetched = {
    "400 MB": await on(lab, "kalaw", big),
    "2,000 paths": await on(lab, "kalaw", many),
  };
  const rows: Record<string, Record<string, number | string>> = {};
  /** What hangs one way is not waited for another way. */
  const hangs = new Set<string>();
  for (const [way, options] of Object.entries(ways)) {
    const ssh = `-F none -i ${identity} -o UserKnownHostsFile=/root/known -o HostKeyAlias=kalaw -o BatchMode=yes ${options}`;
    for (const [name, store] of Object.entries(stores)) {
      rows[name + way] = {};
      for (const [what, paths] of Object.entries(fetched)) {
        const fetch = `NIX_SSHOPTS="${ssh}" timeout ${patience} xargs nix-store --realise --option require-sigs false \
          --option substituters '${store}' </root/paths >/dev/null`;
        const seconds = hangs.has(name + what) ? "hangs" : await median(lab, paths, fetch);
        if (seconds === "hangs") hangs.add(name + what);
        rows[name + way] = { ...rows[name + way], [what]: seconds };
        report(`${name}${way}, ${what}: ${seconds}`);
        await on(lab, "pai", `ssh -O exit -S /root/master kalaw 2>/dev/null || :`);
      }
    }
    if (options.includes(oneConnection)) continue;
    const cat = `ssh ${ssh} root@kalaw cat ${fetched["400 MB"]} >/root/big`;
    rows[`ssh cat${way}`] = { "400 MB": await median(lab, "", cat) };
  }
  return rows;
}

/** Of several runs on the client, in seconds. Before each it has none of the paths. */
async function median(lab: Lab, paths: string, script: string): Promise<number | "hangs"> {
  await on(lab, "pai", "cat >/root/paths", paths);
  const times: number[] = [];
  for (let run = 0; run < runs; run++) {
    await on(
      lab,
      "pai",
      "rm -f /root/big; xargs -r nix-store --delete --quiet </root/paths >/dev/null 2>&1 || :; sync",
    );
    const start = performance.now();
    const { code, stderr } = await lab.exec("pai", ["sh", "-c", script]);
    times.push((performance.now() - start) / 1000);
    if (code === 124) return "hangs";
    if (code !== 0) throw new Error(`${script}\n${stderr.slice(-2000)}`);
  }
  times.sort((a, b) => a - b);
  return Number((times[Math.floor(runs / 2)] ?? Number.NaN).toFixed(2));
}

/** Runs a shell text on a host. @returns its standard output, trimmed */
async function on(lab: Lab, host: string, script: string, stdin = ""): Promise<string> {
  const { code, stdout, stderr } = await lab.exec(host, ["sh", "-c", script], { stdin });
  if (code !== 0) throw new Error(`${host}: ${script.slice(0, 200)}\n${stderr.slice(-2000)}`);
  return stdout.trim();
}
