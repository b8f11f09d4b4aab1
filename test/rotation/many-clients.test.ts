import { beforeAll, describe, expect, test } from "vitest";
import { buildNewPath, fetchPath } from "../../dev/lab/demonstration.ts";
import { useHome } from "../system/home.ts";
import { keysOf, storedKeypair, tryKey } from "./keys.ts";

const clients = Array.from({ length: 10 }, (_, i) => `c${i + 1}`);
const home = useHome(["kalaw", ...clients]);

/** How often each machine is rebuilt meanwhile. */
async function rebuilds(
  work: () => Promise<unknown>,
): Promise<{ server: number; clients: number[] }> {
  const count = () => Promise.all(["kalaw", ...clients].map((host) => home().generations(host)));
  const before = await count();
  await work();
  const after = await count();
  const [server = Number.NaN, ...rest] = after.map((n, i) => n - (before[i] ?? Number.NaN));
  return { server, clients: rest };
}

const publicKey = async (client: string) =>
  (await storedKeypair(home(), `${client}-key`)).publicKey;

/** A new value for the keys of these clients, all in one: only the file is changed here. */
async function renew(these: string[], rotation: string): Promise<void> {
  for (const client of these) await home().set(`clients.${client}.rotation`, rotation);
}

async function newPathReaches(these: string[]): Promise<void> {
  const path = await buildNewPath(home().lab, "kalaw");
  for (const client of these) await fetchPath(home().lab, client, path);
}

describe("ten clients", () => {
  test("the first up rebuilds the server once, and each client once", async () => {
    expect(await rebuilds(() => home().up())).toEqual({
      server: 1,
      clients: clients.map(() => 1),
    });
    await newPathReaches(clients);
  });

  test("new keys for all cost the server one rebuild, two at worst, and the clients none", async () => {
    await renew(clients, "spring");
    const { server, clients: ours } = await rebuilds(() => home().up());
    console.log(`rotation of ten clients' keys: the server was rebuilt ${server} times`);
    expect(server).toBeGreaterThanOrEqual(1);
    expect(server).toBeLessThanOrEqual(2);
    expect(ours).toEqual(clients.map(() => 0));
    for (const client of clients) {
      expect(await keysOf(home(), client)).toEqual([await publicKey(client)]);
    }
    await newPathReaches(clients);
    await home().stack.run(["preview", "--expect-no-changes"]);
  });
});

describe("one of five clients is off during a rotation", () => {
  const five = clients.slice(0, 5);
  const [off = "", ...others] = [...five].reverse();
  let old: Record<string, string>;

  beforeAll(async () => {
    for (const client of clients.slice(5)) {
      await home().stack.run(["config", "rm", "--path", `nixos-cache:clients.${client}`]);
    }
    await home().up();
    old = Object.fromEntries(
      await Promise.all(five.map(async (client) => [client, await publicKey(client)] as const)),
    );
    for (const client of five) {
      await home().on(client, "cp /var/lib/nixos-cache/ssh/identity /root/old");
    }
    await renew(five, "summer");
    await home().lab.powerOff(off);
  });

  test("the update fails and names it", async () => {
    const output = await home().failingUp();
    expect(output).toMatch(new RegExp(`${off}-identity.*failed`));
    for (const other of others) expect(output).not.toMatch(new RegExp(`${other}-\\S+ .*failed`));
  });

  test("the others have their new keys, and their old ones are refused", async () => {
    for (const client of others) {
      const now = await publicKey(client);
      expect(now).not.toBe(old[client]);
      expect(await keysOf(home(), client)).toEqual([now]);
      expect(await tryKey(home(), client, "/root/old")).toContain("Permission denied (publickey");
    }
    await newPathReaches(others);
  });

  test("it keeps its access with its old key when it is back", async () => {
    await home().lab.powerOn(off);
    expect(await tryKey(home(), off, "/var/lib/nixos-cache/ssh/identity")).toBe("let in");
    expect(await keysOf(home(), off)).toContain(old[off]);
    await newPathReaches([off]);
  });

  test("the next up finishes the job", async () => {
    await home().up();
    const now = await publicKey(off);
    expect(now).not.toBe(old[off]);
    expect(await keysOf(home(), off)).toEqual([now]);
    expect(await tryKey(home(), off, "/root/old")).toContain("Permission denied (publickey");
    await newPathReaches(five);
    await home().stack.run(["preview", "--expect-no-changes"]);
  });
});
