import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { buildNewPath, fetchPath } from "../../dev/lab/demonstration.ts";
import { useHome } from "../system/home.ts";
import {
  bare,
  identity,
  keysOf,
  refusal,
  signingKeysOf,
  storedKeypair,
  trustedBy,
  tryKey,
} from "./keys.ts";
import { startLongBuild } from "./long-build.ts";
import { type Work, watchNix, workDuring } from "./work-on-hosts.ts";

const clients = Array.from({ length: 10 }, (_, i) => `c${i + 1}`);
const home = useHome(["kalaw", ...clients]);
const [, ...others] = clients;
const last = clients.at(-1) ?? "";

const nothing: Work = { evaluations: 0, rebuilds: 0 };
const once: Work = { evaluations: 1, rebuilds: 1 };

/** What is printed: for each change, what it cost whom. */
const table: Record<string, string>[] = [];

beforeAll(() => watchNix(home(), ["kalaw", ...clients]));
afterAll(() => console.table(table));

/**
 * What a change costs each machine.
 * @param name of the change, for the table
 * @param moving the clients that it is about; none for a change of all of them
 */
async function cost(
  name: string,
  number: number,
  moving: readonly string[],
  change: () => Promise<unknown>,
): Promise<Record<string, Work>> {
  const work = await workDuring(home(), ["kalaw", ...clients.slice(0, number)], change);
  const inWords = (hosts: string[]) => {
    const each = hosts.map((host) => `${work[host]?.evaluations} / ${work[host]?.rebuilds}`);
    return [...new Set(each)].sort().join(", ") || "–";
  };
  const { kalaw: _, ...ours } = work;
  table.push({
    clients: `${number}`,
    "evaluations / rebuilds": name,
    server: inWords(["kalaw"]),
    "that client": inWords(Object.keys(ours).filter((host) => moving.includes(host))),
    "each other client": inWords(Object.keys(ours).filter((host) => !moving.includes(host))),
  });
  return work;
}

const everybody = (number: number, work: Work, except: Record<string, Work> = {}) => ({
  ...Object.fromEntries(["kalaw", ...clients.slice(0, number)].map((host) => [host, work])),
  ...except,
});

async function join(client: string): Promise<void> {
  await home().set(`clients.${client}.connection.host`, home().lab.address(client));
  await home().set(`clients.${client}.connection.hostKey`, await home().lab.hostKey(client));
  await home().set(`clients.${client}.servers[0]`, "kalaw");
}

async function leave(client: string): Promise<void> {
  await home().stack.run(["config", "rm", "--path", `nixos-cache:clients.${client}`]);
}

const publicKey = async (client: string) =>
  bare((await storedKeypair(home(), `${client}-key`)).publicKey);

/** A new value for the keys of these clients: only the file is changed here. */
async function renew(these: readonly string[], rotation: string): Promise<void> {
  for (const client of these) await home().set(`clients.${client}.rotation`, rotation);
}

async function newPathReaches(these: readonly string[]): Promise<void> {
  const path = await buildNewPath(home().lab, "kalaw");
  for (const client of these) await fetchPath(home().lab, client, path);
}

describe.each([
  { number: 1, before: async () => {} },
  {
    number: 10,
    before: async () => {
      await home().stack.run(["destroy", "--yes", "--skip-preview"]);
    },
  },
])("$number of ten", ({ number, before }) => {
  const these = clients.slice(0, number);

  beforeAll(async () => {
    for (const client of others) await leave(client);
    await before();
    for (const client of these.slice(1)) await join(client);
  });

  test("set-up rebuilds each machine once", async () => {
    expect(await cost("set-up", number, [], () => home().up())).toEqual(everybody(number, once));
    await newPathReaches(these);
  });

  test.each([
    ["no change", () => Promise.resolve()],
    ["new SSH keys", () => renew(these, `spring of ${number}`)],
    ["a new signing key", () => home().set("servers.kalaw.rotation", `spring of ${number}`)],
    ["all keys", () => home().set("rotation", `${number + 1}`)],
  ])("%s: nobody evaluates or rebuilds anything", async (name, change) => {
    await change();
    expect(await cost(name, number, [], () => home().up())).toEqual(everybody(number, nothing));
    for (const client of these) {
      expect(await keysOf(home(), client)).toEqual([await publicKey(client)]);
    }
    await newPathReaches(these);
    await home().stack.run(["preview", "--expect-no-changes"]);
  });
});

describe("one of ten", () => {
  test("leaves: nobody else evaluates or rebuilds anything", async () => {
    await leave(last);
    const work = await cost("one leaves", 10, [last], () => home().up());
    expect(work).toEqual(everybody(10, nothing, { [last]: { evaluations: 2, rebuilds: 1 } }));
    expect(await keysOf(home(), last)).toEqual([]);
  });

  test("joins: it is rebuilt once, and nobody else", async () => {
    await join(last);
    const work = await cost("one joins", 10, [last], () => home().up());
    expect(work).toEqual(everybody(10, nothing, { [last]: once }));
    await newPathReaches(clients);
  });
});

describe("one of five is off during a rotation of all keys", () => {
  const five = clients.slice(0, 5);
  const online = five.slice(0, 4);
  const off = five.at(-1) ?? "";
  const staying = online;
  let old: Record<string, string>;
  let oldSigning: string;

  const keyName = async () => (await storedKeypair(home(), "kalaw-signing-key")).name ?? "";

  beforeAll(async () => {
    for (const client of clients.slice(5)) await leave(client);
    await home().up();
    old = Object.fromEntries(
      await Promise.all(five.map(async (client) => [client, await publicKey(client)] as const)),
    );
    oldSigning = await keyName();
    for (const client of five) await home().on(client, `cp ${identity} /root/old`);
    await home().set("rotation", "summer");
    await home().lab.powerOff(off);
  });

  test("the update fails and names it", async () => {
    const output = await home().failingUp();
    expect(output).toMatch(new RegExp(`${off}-identity.*failed`));
    for (const other of online) expect(output).not.toMatch(new RegExp(`${other}-\\S+ .*failed`));
  });

  test("the others have their new keys, and their old ones are refused", async () => {
    for (const client of online) {
      const now = await publicKey(client);
      expect(now).not.toBe(old[client]);
      expect(await keysOf(home(), client)).toEqual([now]);
      expect(await tryKey(home(), client, "/root/old")).toContain(refusal);
      expect(await trustedBy(home(), client)).toEqual([
        (await storedKeypair(home(), "kalaw-signing-key")).publicKey,
      ]);
    }
    await newPathReaches(online);
  });

  test("it keeps its access with its old key when it is back, and what is built now it accepts", async () => {
    await home().lab.powerOn(off);
    expect(await tryKey(home(), off, identity)).toBe("let in");
    expect(await keysOf(home(), off)).toContain(old[off]);
    expect(await signingKeysOf(home())).toEqual([oldSigning, await keyName()].sort());
    await newPathReaches(five);
  });

  test("another update fails for it too, and the others go on", async () => {
    await home().lab.powerOff(off);
    const build = await startLongBuild(home().lab, "kalaw", "daemon");
    await home().set("rotation", "autumn");
    await home().failingUp();

    await home().lab.powerOn(off);
    expect(await keysOf(home(), off)).toContain(old[off]);
    for (const client of staying) {
      expect(await keysOf(home(), client)).toEqual([await publicKey(client)]);
    }
    await newPathReaches([...staying, off]);
    // Begun before the newest key came; the one that is off trusts the oldest.
    const path = await build.finish();
    for (const client of [...staying, off]) await fetchPath(home().lab, client, path);
  });

  test("the next up finishes the job", async () => {
    await home().up();
    const now = await publicKey(off);
    expect(now).not.toBe(old[off]);
    expect(await keysOf(home(), off)).toEqual([now]);
    expect(await tryKey(home(), off, "/root/old")).toContain(refusal);
    expect(await signingKeysOf(home())).toEqual([await keyName()]);
    await newPathReaches([...staying, off]);
    await home().stack.run(["preview", "--expect-no-changes"]);
  });
});
