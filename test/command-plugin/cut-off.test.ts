import { existsSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { remote, types } from "@pulumi/command";
import { execa } from "execa";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Network, operator } from "../../dev/lab/network.ts";
import { until } from "../../dev/lab/until.ts";
import { toolchain } from "../../dev/tools/toolchain.ts";
import { Sshd } from "./sshd.ts";

// A host and its cable for each test: they run at the same time, for what they do is mostly wait.
const hosts = ["kalaw", "inle", "bagan", "hpa-an"] as const;
type Host = (typeof hosts)[number];

const network = new Network(mkdtempSync(join(tmpdir(), "command-plugin-network-")), hosts);
const servers = new Map<Host, Sshd>();
let env: Record<string, string> = {};

beforeAll(async () => {
  ({ env } = await toolchain(() => undefined));
  await network.up();
  for (const host of hosts) {
    const sshd = new Sshd(network.address(host), network.enter(host));
    servers.set(host, sshd);
    await sshd.start();
  }
});
afterAll(async () => {
  for (const sshd of servers.values()) await sshd.stop();
  await network.down();
});

describe.concurrent("a command on a host whose cable is cut", () => {
  const missing = "error!: wait: remote command exited without exit status or exit signal";

  // Both plugins give up after 150 s of silence: nine probes, one every 15 s, that nobody answers.
  test("ends with an error", async () => {
    const { create, ended } = await running("kalaw");
    const cut = performance.now();
    await network.plug("kalaw", "down");
    expect(await ended).toEqual([`${missing}: running "${create}":`]);
    expect((performance.now() - cut) / 1000).toBeLessThan(200);
  });

  test("goes on when the cable is mended in time", async () => {
    const { folder, ended } = await running("inle");
    await network.plug("inle", "down");
    await timer("inle", /keepalive,[^,]*,[1-9]/);
    await network.plug("inle", "up");
    writeFileSync(join(folder, "go"), "");
    expect(await ended).toEqual(["info: done"]);
  });

  test("ends with an error when the host has restarted meanwhile", async () => {
    const { create, ended } = await running("bagan");
    // The host forgets the connection, and can tell nobody: the plugin's first probe finds out.
    await network.power("bagan", "down");
    expect(await ss("bagan", "-K", "-tnH", "src", network.address("bagan"))).not.toBe("");
    await network.power("bagan", "up");
    expect(await ended).toEqual([`${missing}: running "${create}":`]);
  });
});

test.concurrent("perDialTimeout ends a dial to a host that is cut off", async () => {
  await network.plug("hpa-an", "down");
  const connection = { ...reach("hpa-an"), perDialTimeout: 1 };
  expect(await up({ connection, create: "true" })).toEqual([
    `error!: after 0 failed attempts: dial tcp ${connection.host}:${connection.port}: i/o timeout`,
  ]);
});

/** Starts a command that waits for the file `go`; returns when nothing is under way between it and the plugin. */
async function running(host: Host) {
  const { folder } = server(host);
  // What is sent and not acknowledged is sent again for a quarter of an hour, and no probes meanwhile.
  const create = `cd ${folder}; cat; touch started; until test -e go; do sleep 0.1; done; echo done`;
  const ended = up({ connection: reach(host), create });
  const started = async () => existsSync(join(folder, "started"));
  await until(started, { seconds: 60, otherwise: "the command does not start" });
  await timer(host, /keepalive,[^,]*,0/);
  return { create, ended, folder };
}

/** Waits for the kernel's timer of the plugin's connection. */
async function timer(host: Host, state: RegExp): Promise<void> {
  let seen = "";
  await until(
    async () => {
      seen = await ss(operator, "-tnoH", "dst", network.address(host));
      return state.test(seen);
    },
    { seconds: 60, otherwise: () => `the timer of the connection is not ${state}: ${seen}` },
  );
}

async function ss(owner: Host | typeof operator, ...args: string[]): Promise<string> {
  const [command = "", ...enter] = network.enter(owner);
  return (await execa(command, [...enter, "ss", ...args])).stdout;
}

async function up(args: remote.CommandArgs): Promise<string[]> {
  const [command = "", ...enter] = network.enter(operator);
  const script = join(import.meta.dirname, "up.ts");
  const input = JSON.stringify({ addPreviousOutputInEnv: false, ...args });
  const { stdout } = await execa(command, [...enter, process.execPath, script], { input, env });
  return JSON.parse(stdout);
}

function reach(host: Host) {
  const sshd = server(host);
  return {
    host: sshd.address,
    port: sshd.port,
    privateKey: sshd.privateKey("operator"),
    hostKey: sshd.publicKey("host-ed25519"),
    dialErrorLimit: 0,
  } satisfies types.input.remote.ConnectionArgs;
}

function server(host: Host): Sshd {
  const sshd = servers.get(host);
  if (!sshd) throw new Error(`no sshd on ${host}`);
  return sshd;
}
