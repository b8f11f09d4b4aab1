import { expect, test } from "vitest";
import { useHome } from "../system/home.ts";
import { asClient, asServer, writeStackFile } from "./stack-file.ts";
import { expectWorking, standingOn } from "./standing.ts";
import { truthfulUpdate } from "./truthful-update.ts";

// Each test goes on from where the one before has left the machines.
const home = useHome(["kalaw", "pai"], { after: "up" });

/** The host kalaw serves, and the host pai fetches, under these names. */
async function nameThem(server: string, client: string, rotation = "1"): Promise<void> {
  await writeStackFile(home(), {
    rotation,
    servers: { [server]: await asServer(home(), "kalaw") },
    clients: { [client]: await asClient(home(), "pai", [server]) },
  });
}

/** Updates, and expects that these own the machines, and that nothing of anybody else's is left there. */
async function expectOwners(server: string, client: string): Promise<string[]> {
  const { changes } = await truthfulUpdate(home());
  await expectWorking(home());
  const kalaw = await standingOn(home(), "kalaw");
  expect(kalaw).toEqual({
    owners: [`server lab ${server}`],
    readers: [`lab ${client}@${server}`],
    signing: [expect.stringMatching(new RegExp(`^${server}-`))],
    trusted: [],
    secrets: kalaw.signing,
  });
  expect(await standingOn(home(), "pai")).toEqual({
    owners: [`client lab ${client}`],
    readers: [],
    signing: [],
    trusted: kalaw.signing,
    secrets: ["identity"],
  });
  return changes;
}

test("a server gets another name in the stack file", async () => {
  await nameThem("cache", "pai");
  const changes = await expectOwners("cache", "pai");
  expect(changes).toEqual(
    expect.arrayContaining([
      "create cache-signing",
      "update pai-settings",
      "create pai-access-cache",
      "delete pai-access-kalaw",
      "delete kalaw-settings",
    ]),
  );
});

test("a server gets another name, and everybody new keys", async () => {
  await nameThem("kalaw", "pai", "2");
  const changes = await expectOwners("kalaw", "pai");
  expect(changes).toEqual(expect.arrayContaining(["replace pai-key", "delete cache-signing"]));
});

test("a client gets another name", async () => {
  await nameThem("kalaw", "desktop", "2");
  const changes = await expectOwners("kalaw", "desktop");
  expect(changes.filter((change) => change.includes("kalaw-s"))).toEqual([]);
  expect(changes).toEqual(
    expect.arrayContaining(["create desktop-identity", "delete pai-identity"]),
  );
});

test("both get another name", async () => {
  await nameThem("cache", "laptop", "2");
  await expectOwners("cache", "laptop");
});

test("each takes the other's role", async () => {
  await nameThem("kalaw", "pai", "2");
  await expectOwners("kalaw", "pai");

  await writeStackFile(home(), {
    servers: { pai: await asServer(home(), "pai") },
    clients: { kalaw: await asClient(home(), "kalaw", ["pai"]) },
  });
  const { changes } = await truthfulUpdate(home());
  expect(changes).toEqual(
    expect.arrayContaining([
      "create pai-settings",
      "delete pai-settings",
      "create kalaw-settings",
      "delete kalaw-settings",
    ]),
  );
  await expectWorking(home(), { server: "pai", client: "kalaw" });
  const pai = await standingOn(home(), "pai");
  expect(pai).toEqual({
    owners: ["server lab pai"],
    readers: ["lab kalaw@pai"],
    signing: [expect.stringMatching(/^pai-/)],
    trusted: [],
    secrets: pai.signing,
  });
  expect(await standingOn(home(), "kalaw")).toEqual({
    owners: ["client lab kalaw"],
    readers: [],
    signing: [],
    trusted: pai.signing,
    secrets: ["identity"],
  });
  expect(await home().on("kalaw", "getent passwd nix-ssh || echo none")).toBe("none");
});
