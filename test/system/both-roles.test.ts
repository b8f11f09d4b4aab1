import { expect, test } from "vitest";
import { buildNewPath, fetchPath } from "../../dev/lab/demonstration.ts";
import { until } from "../../dev/lab/until.ts";
import { ownProtocol } from "../own-protocol.ts";
import { FetchLoop } from "../rotation/fetch-loop.ts";
import { watchNix, workDuring } from "../rotation/work-on-hosts.ts";
import { useHome } from "./home.ts";

const home = useHome();
const hosts = ["kalaw", "pai"];
let before: Record<string, string>;

const snapshots = async () => ({
  kalaw: await home().snapshot("kalaw"),
  pai: await home().snapshot("pai"),
});

test("two machines that serve each other", async () => {
  before = await snapshots();
  for (const [machine, host] of [
    ["servers.pai", "pai"],
    ["clients.kalaw", "kalaw"],
  ] as const) {
    await home().set(`${machine}.connection.host`, home().lab.address(host));
    await home().set(`${machine}.connection.user`, "root");
    await home().set(`${machine}.connection.hostKey`, await home().lab.hostKey(host));
  }
  await home().set("clients.kalaw.servers[0]", "pai");
  await watchNix(home(), hosts);
  expect(await workDuring(home(), hosts, () => home().up())).toEqual({
    kalaw: { evaluations: 1, rebuilds: 1 },
    pai: { evaluations: 1, rebuilds: 1 },
  });
  for (const [server, client] of [
    ["kalaw", "pai"],
    ["pai", "kalaw"],
  ] as const) {
    const path = await buildNewPath(home().lab, server);
    const fetched = await fetchPath(home().lab, client, path);
    expect(fetched.copying).toContain(`${ownProtocol}://nix-ssh@${server}`);
    expect(fetched.signedBy).toMatch(new RegExp(`^${server}-`));
  }
  await home().stack.run(["preview", "--expect-no-changes"]);
});

test("renew all keys at once, without a failed fetch in either direction", async () => {
  await home().set("rotation", "2");
  const loops = [new FetchLoop(home(), "pai"), new FetchLoop(home(), "kalaw", "pai")];
  const reach = (count: number) =>
    until(async () => loops.every(({ fetches }) => fetches.length >= count), {
      seconds: 120,
      otherwise: () => `only ${loops.map(({ fetches }) => fetches.length).join(" and ")} fetches`,
    });
  await reach(4);
  expect(await workDuring(home(), hosts, () => home().up())).toEqual({
    kalaw: { evaluations: 0, rebuilds: 0 },
    pai: { evaluations: 0, rebuilds: 0 },
  });
  await reach(Math.max(...loops.map(({ fetches }) => fetches.length)) + 4);
  for (const loop of loops) {
    const fetches = await loop.stop();
    expect(fetches.flatMap(({ failure }) => failure ?? [])).toEqual([]);
  }
});

test("one of them is off: the other serves and builds on", async () => {
  await home().lab.powerOff("pai");
  await buildNewPath(home().lab, "kalaw");
  await home().lab.powerOn("pai");
  const path = await buildNewPath(home().lab, "kalaw");
  expect((await fetchPath(home().lab, "pai", path)).copying).toContain(
    `${ownProtocol}://nix-ssh@kalaw`,
  );
});

test("destroy takes away both parts of both", async () => {
  await home().stack.run(["destroy", "--yes", "--skip-preview"]);
  expect(await snapshots()).toEqual(before);
});
