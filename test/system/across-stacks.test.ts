import { copyFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { buildNewPath, fetchPath } from "../../dev/lab/demonstration.ts";
import { until } from "../../dev/lab/until.ts";
import { asClient, asServer, writeStackFile } from "../ownership/stack-file.ts";
import {
  expectNothingOn,
  expectRefused,
  expectWorking,
  standingOn,
} from "../ownership/standing.ts";
import { run } from "../ownership/truthful-update.ts";
import { FetchLoop } from "../rotation/fetch-loop.ts";
import { useHome } from "./home.ts";

// kalaw is a server in the stack lab, pai a client in the stack desk. Each test goes on from where the one before has left them.
const home = useHome();
const stacks = { lab: "organization/nixos-cache/lab", desk: "organization/nixos-cache/desk" };
type Stack = keyof typeof stacks;

const up = (stack: Stack) =>
  run(home(), ["up", "--yes", "--skip-preview", "--json", "--stack", stack]);

/** An update that has to go through: what the person reads. */
async function updated(stack: Stack): Promise<string> {
  const { code, said } = await up(stack);
  expect(code, said).toBe(0);
  return said;
}

async function output(stack: Stack, group: string, name: string) {
  const { stdout } = await home().stack.run(["stack", "output", "--json", group, "--stack", stack]);
  return JSON.parse(stdout)[name];
}

async function writeLab(server: object = {}): Promise<void> {
  const kalaw = {
    ...(await asServer(home(), "kalaw")),
    otherClients: { pai: { stack: stacks.desk } },
    ...server,
  };
  await writeStackFile(home(), { servers: { kalaw }, clients: {} }, "lab");
}

async function writeDesk(client: object = {}, kalaw: object = { stack: stacks.lab }) {
  const pai = { ...(await asClient(home(), "pai", ["kalaw"])), ...client };
  const settings = { servers: {}, otherServers: { kalaw }, clients: { pai } };
  await writeStackFile(home(), settings, "desk");
}

/** The keys by which kalaw lets pai in, as `type base64`, and the signing keys that it goes on with for each. */
async function admitted(): Promise<string[]> {
  return (await home().on("kalaw", "cat /var/lib/nixos-cache/authorized_keys")).split("\n");
}
const bare = (line: string) => line.split(" ").slice(0, 2).join(" ");

beforeAll(async () => {
  const { stack } = home();
  await stack.run(["stack", "init", "desk"]);
  const file = (name: Stack) => join(stack.folder, `Pulumi.${name}.yaml`);
  await copyFile(file("lab"), file("desk"));
  await writeLab();
  await writeDesk();
});

test("the client's stack first: it says that the server's comes before, and touches nothing", async () => {
  const { code, said } = await up("desk");
  expect(code).not.toBe(0);
  expect(said).toContain(
    `the stack ${stacks.lab} puts out no server kalaw yet: run \`pulumi up\` there first`,
  );
  await expectNothingOn(home(), "pai");
});

test("each stack says what the other has to do, and then pai fetches", async () => {
  expect(await updated("lab")).toContain(
    `the stack ${stacks.desk} puts out no client pai yet, so pai has no access`,
  );
  const waiting = await updated("desk");
  const { publicKey } = await output("desk", "clients", "pai");
  expect(waiting).toContain("pai waits for the stack of kalaw to let its new key in");
  expect(waiting).toContain(`The new key:\n${publicKey}`);
  await updated("lab");
  expect(await updated("desk")).not.toContain("waits");
  for (const stack of ["lab", "desk"]) await expectWorking(home(), { args: ["--stack", stack] });
  const { owners, readers } = await standingOn(home(), "kalaw");
  expect([owners, readers]).toEqual([["server lab kalaw"], ["lab other:pai@kalaw"]]);
  expect(await home().generations("pai")).toBe(2);
});

test("both renew their keys, update after update, and no fetch fails", async () => {
  const before = await output("desk", "clients", "pai");
  const { trustedPublicKey } = await output("lab", "servers", "kalaw");
  const loop = new FetchLoop(home(), "pai");
  const reach = (count: number) =>
    until(async () => loop.fetches.length >= count, {
      seconds: 120,
      otherwise: () => `only ${loop.fetches.length} fetches`,
    });
  const fetchesAfter = async (stack: Stack) => {
    const said = await updated(stack);
    await reach(loop.fetches.length + 4);
    return said;
  };
  await reach(4);
  await writeDesk({ rotation: "new" });
  await writeLab({ rotation: "new" });

  // The server's new signing key first: the client has not heard of it. Then a client's key that the server has not.
  await fetchesAfter("lab");
  const [oldSigning = ""] = trustedPublicKey.split(":");
  expect(await admitted()).toEqual([expect.stringContaining(` ${oldSigning} `)]);
  expect((await standingOn(home(), "kalaw")).signing).toHaveLength(2);
  expect(await fetchesAfter("desk")).toContain("goes on with the key that it has");
  const waiting = await output("desk", "clients", "pai");
  expect(waiting.publicKeys.map(bare)).toEqual([waiting.publicKey, before.publicKey].map(bare));
  // Both keys may read; the old signing key is not needed any more.
  await fetchesAfter("lab");
  expect((await admitted()).map(bare).sort()).toEqual(waiting.publicKeys.map(bare).sort());
  expect((await standingOn(home(), "kalaw")).signing).not.toContain(oldSigning);

  await fetchesAfter("desk");
  expect((await output("desk", "clients", "pai")).publicKeys).toEqual([waiting.publicKey]);
  await fetchesAfter("lab");
  expect((await admitted()).map(bare)).toEqual([bare(waiting.publicKey)]);
  const fetches = await loop.stop();
  console.log(`rotations across stacks: ${fetches.length} fetches`);
  expect(fetches.flatMap(({ failure }) => failure ?? [])).toEqual([]);
  await expectWorking(home(), { args: ["--stack", "lab"] });
});

test("without a reference between the stacks: lines that people pass on", async () => {
  const { port, hostKey, trustedPublicKey } = await output("lab", "servers", "kalaw");
  const { publicKey } = await output("desk", "clients", "pai");
  await writeDesk({ rotation: "newer" }, { port, hostKey, trustedPublicKey });
  const { code, said } = await up("desk");
  expect(code).not.toBe(0);
  const [, line = ""] =
    /does not let in this machine's new key; its key is as it was\nGive this line to .*\n(ssh-ed25519 \S+.*)\n/.exec(
      said,
    ) ?? [];
  expect(bare(line)).not.toBe("");
  await fetchPath(home().lab, "pai", await buildNewPath(home().lab, "kalaw"));
  await writeLab({ rotation: "new", otherClients: { pai: [publicKey, line] } });
  await updated("lab");
  await updated("desk");
  await writeLab({ rotation: "new", otherClients: { pai: line } });
  await updated("lab");
  await expectWorking(home(), { args: ["--stack", "lab"] });
  expect((await admitted()).map(bare)).toEqual([bare(line)]);
});

test("a client that the server's stack takes out has no access, and all of it can go", async () => {
  await writeLab({ rotation: "new", otherClients: {} });
  expect(await updated("lab")).toContain("revoked 256 SHA256:");
  await expectRefused(home(), "kalaw", "pai");
  for (const stack of ["desk", "lab"]) {
    await home().stack.run(["destroy", "--yes", "--skip-preview", "--stack", stack]);
  }
  for (const host of ["kalaw", "pai"]) await expectNothingOn(home(), host);
});
