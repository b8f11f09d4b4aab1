import { beforeAll, describe, expect, test } from "vitest";
import { useHome } from "../system/home.ts";
import { expectNothingOn, expectWorking, type Standing, standingOn } from "./standing.ts";
import { truthfulUpdate } from "./truthful-update.ts";

const home = useHome(["kalaw", "pai"], { after: "up" });

/** All resources of a server and its client, but the stack itself. */
const resources = [
  "kalaw",
  "kalaw-signing-key",
  "kalaw-helper",
  "kalaw-settings",
  "kalaw-signing",
  "pai",
  "pai-key",
  "pai-helper",
  "pai-authorization-kalaw",
  "pai-settings",
  "pai-identity",
  "pai-access-kalaw",
];

/** The URN of each resource in the state, by its name. */
async function inState(): Promise<Map<string, string>> {
  const { stdout } = await home().stack.run(["stack", "export"]);
  const { deployment } = JSON.parse(stdout) as { deployment: { resources?: { urn: string }[] } };
  const urns = (deployment.resources ?? [])
    .map(({ urn }) => urn)
    .filter((urn) => !urn.includes("::pulumi:providers:"));
  return new Map(urns.map((urn) => [urn.split("::").at(-1) ?? "", urn]));
}

const standings = async (): Promise<Record<string, Standing>> => ({
  kalaw: await standingOn(home(), "kalaw"),
  pai: await standingOn(home(), "pai"),
});

/** One signing key, and one key that may read. */
function expectOneOfEach({ kalaw, pai }: Record<string, Standing>): void {
  expect(kalaw).toMatchObject({ owners: ["server lab kalaw"], readers: ["lab pai@kalaw"] });
  expect(kalaw?.signing).toHaveLength(1);
  expect(kalaw?.secrets).toEqual(kalaw?.signing);
  expect(pai).toEqual({
    owners: ["client lab pai"],
    readers: [],
    signing: [],
    trusted: kalaw?.signing,
    secrets: ["identity"],
  });
}

beforeAll(async () => {
  expect([...(await inState()).keys()].sort()).toEqual(["nixos-cache-lab", ...resources].sort());
});

describe("a resource is lost from the state, with what depends on it", () => {
  test.each(resources)("%s", async (resource) => {
    const before = await standings();
    await lose(resource);
    const { changes } = await truthfulUpdate(home());
    expect(changes).toContain(`create ${resource}`);
    await expectWorking(home());
    const after = await standings();
    expectOneOfEach(after);
    // Without its key the server gets another one.
    const losesKey = ["kalaw", "kalaw-signing-key"].includes(resource);
    expect(after.kalaw?.signing[0] === before.kalaw?.signing[0]).toBe(!losesKey);
  });

  async function lose(resource: string): Promise<void> {
    const urn = (await inState()).get(resource) ?? "";
    await home().stack.run(["state", "delete", urn, "--target-dependents", "--yes"]);
    expect((await inState()).has(resource)).toBe(false);
  }
});

test("the whole state is lost: the machines are this stack's own, so it goes on", async () => {
  await home().stack.run(["state", "delete", "--all", "--yes"]);
  await truthfulUpdate(home());
  await expectWorking(home());
  expectOneOfEach(await standings());

  await home().stack.run(["destroy", "--yes", "--skip-preview"]);
  for (const host of ["kalaw", "pai"]) await expectNothingOn(home(), host);
});
