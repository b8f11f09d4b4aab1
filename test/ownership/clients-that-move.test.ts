import { beforeAll, describe, expect, test } from "vitest";
import { useHome } from "../system/home.ts";
import { asClient, asServer, type Settings, writeStackFile } from "./stack-file.ts";
import { expectNothingOn, expectRefused, expectWorking, standingOn } from "./standing.ts";
import { previewOf, run, truthfulUpdate } from "./truthful-update.ts";

const home = useHome(["kalaw", "inle", "pai"]);

/** kalaw and inle serve; pai fetches from these. */
async function paiFetchesFrom(...servers: string[]): Promise<void> {
  await writeStackFile(home(), {
    ...(await twoServers()),
    clients: { pai: await asClient(home(), "pai", servers) },
  });
}

async function twoServers(): Promise<Settings> {
  return {
    servers: { kalaw: await asServer(home(), "kalaw"), inle: await asServer(home(), "inle") },
    clients: {},
  };
}

const readers = async (host: string) => (await standingOn(home(), host)).readers;

beforeAll(async () => {
  await paiFetchesFrom("kalaw");
  await home().up();
});

describe("a client", () => {
  test("gets one server more", async () => {
    await paiFetchesFrom("kalaw", "inle");
    const { changes } = await truthfulUpdate(home());
    expect(changes).toEqual([
      "create pai-access-inle",
      "create pai-authorization-inle",
      "update pai-identity",
      "update pai-settings",
    ]);
    await expectWorking(home(), { server: "kalaw" });
    await expectWorking(home(), { server: "inle" });
  });

  test("loses one of its servers", async () => {
    await paiFetchesFrom("inle");
    const { changes } = await truthfulUpdate(home());
    expect(changes).toEqual([
      "delete pai-access-kalaw",
      "delete pai-authorization-kalaw",
      "update pai-identity",
      "update pai-settings",
    ]);
    await expectWorking(home(), { server: "inle" });
    expect([await readers("kalaw"), await readers("inle")]).toEqual([[], ["lab pai@inle"]]);
  });

  test("is moved to another server", async () => {
    await paiFetchesFrom("kalaw");
    const { changes } = await truthfulUpdate(home());
    expect(changes).toEqual([
      "create pai-access-kalaw",
      "create pai-authorization-kalaw",
      "delete pai-access-inle",
      "delete pai-authorization-inle",
      "update pai-identity",
      "update pai-settings",
    ]);
    await expectWorking(home(), { server: "kalaw" });
    expect([await readers("kalaw"), await readers("inle")]).toEqual([["lab pai@kalaw"], []]);
    const [kalaw, pai] = [await standingOn(home(), "kalaw"), await standingOn(home(), "pai")];
    expect(pai.trusted).toEqual(kalaw.signing);
    await expectRefused(home(), "inle", "pai");
  });
});

describe("a client that is off", () => {
  test("is taken out: its access ends, and the update says what it could not do", async () => {
    await home().lab.powerOff("pai");
    await writeStackFile(home(), await twoServers());
    const preview = await previewOf(home());
    expect(preview.changes).toEqual([
      "delete pai",
      "delete pai-access-kalaw",
      "delete pai-authorization-kalaw",
      "delete pai-helper",
      "delete pai-identity",
      "delete pai-key",
      "delete pai-settings",
    ]);
    const { code, said } = await run(home(), ["up", "--yes", "--skip-preview", "--json"]);
    expect(code).not.toBe(0);
    expect(said).toMatch(/Dial \d+\/\d+ failed[\s\S]*context deadline exceeded/);
    expect(await readers("kalaw")).toEqual([]);
  });

  test("and put back: it has its access again", async () => {
    await home().lab.powerOn("pai");
    await expectRefused(home(), "kalaw", "pai");
    await paiFetchesFrom("kalaw");
    const { changes } = await truthfulUpdate(home());
    expect(changes).toContain("create pai-access-kalaw");
    await expectWorking(home(), { server: "kalaw" });
    expect(await readers("kalaw")).toEqual(["lab pai@kalaw"]);
  });

  test("nothing is left when all is taken away", async () => {
    await home().stack.run(["destroy", "--yes", "--skip-preview"]);
    for (const host of ["kalaw", "inle", "pai"]) await expectNothingOn(home(), host);
  });
});
