import { readFile, writeFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { useHome } from "../system/home.ts";
import { expectNothingOn, expectWorking, standingOn } from "./standing.ts";
import { truthfulUpdate } from "./truthful-update.ts";

// Each test goes on from where the one before has left the machines.
const home = useHome();

beforeAll(async () => {
  const { folder } = home().stack;
  const file = join(folder, "Pulumi.yaml");
  const program = relative(folder, join(import.meta.dirname, "house.ts"));
  const project = await readFile(file, "utf8");
  await writeFile(file, project.replace(/^main: .*$/m, `main: ${program}`));
});

const stand = (parent: "none" | "house" | "aliased") =>
  home().stack.run(["config", "set", "house:parent", parent]);

/** Updates, and expects that components of these names own the machines, and nobody else anything there. */
async function expectOwners(kalaw: string, pai: string): Promise<string[]> {
  const { changes } = await truthfulUpdate(home());
  await expectWorking(home());
  const server = await standingOn(home(), "kalaw");
  expect(server).toEqual({
    owners: [`server lab ${kalaw}`],
    readers: [`lab ${pai}@${kalaw}`],
    signing: [expect.stringMatching(/^kalaw-/)],
    trusted: [],
    secrets: server.signing,
  });
  expect(await standingOn(home(), "pai")).toEqual({
    owners: [`client lab ${pai}`],
    readers: [],
    signing: [],
    trusted: server.signing,
    secrets: ["identity"],
  });
  return changes;
}

test("at the top of a program, below nothing", async () => {
  await stand("none");
  await expectOwners("kalaw", "pai");
});

test("below another component, with aliases: they are the same ones, with the same keys", async () => {
  const { signing } = await standingOn(home(), "kalaw");
  await stand("aliased");
  const changes = await expectOwners("house:index:House/kalaw", "house:index:House/pai");
  expect(changes.filter((change) => !change.startsWith("update "))).toEqual(["create house"]);
  expect((await standingOn(home(), "kalaw")).signing).toEqual(signing);
});

test("at the top again, without aliases: they are others, with keys of their own", async () => {
  const { signing } = await standingOn(home(), "kalaw");
  await stand("none");
  const changes = await expectOwners("kalaw", "pai");
  expect(changes).toEqual(expect.arrayContaining(["create kalaw-signing", "delete kalaw-signing"]));
  expect((await standingOn(home(), "kalaw")).signing).not.toEqual(signing);
});

test("below another component, without aliases, and nothing is left when all is taken away", async () => {
  await stand("house");
  await expectOwners("house:index:House/kalaw", "house:index:House/pai");
  await home().stack.run(["destroy", "--yes", "--skip-preview"]);
  for (const host of ["kalaw", "pai"]) await expectNothingOn(home(), host);
});
