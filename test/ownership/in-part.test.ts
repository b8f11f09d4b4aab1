import { expect, test } from "vitest";
import { buildNewPath, fetchPath } from "../../dev/lab/demonstration.ts";
import { useHome } from "../system/home.ts";
import { asClient, asServer, writeStackFile } from "./stack-file.ts";
import { expectNothingOn, expectWorking, standingOn } from "./standing.ts";
import { run, truthfulUpdate } from "./truthful-update.ts";

// Each test goes on from where the one before has left the machines.
const home = useHome(["kalaw", "pai"], { after: "up" });

/** The resources of one component, for an update of these alone. */
const targets = (component: string) => [
  ...["--target", `**::${component}`],
  ...["--target", `**::${component}-*`],
];

const fetches = async () => {
  await fetchPath(home().lab, "pai", await buildNewPath(home().lab, "kalaw"));
};

/** New keys of all kinds, in two updates; after each of them pai fetches what kalaw builds. */
async function rotateInParts(first: string, second: string): Promise<void> {
  const before = await standingOn(home(), "kalaw");
  await truthfulUpdate(home(), targets(first));
  await fetches();
  await truthfulUpdate(home(), targets(second));
  await fetches();

  await truthfulUpdate(home());
  await expectWorking(home());
  const [kalaw, pai] = [await standingOn(home(), "kalaw"), await standingOn(home(), "pai")];
  expect(kalaw.signing).toHaveLength(1);
  expect(kalaw.signing).not.toEqual(before.signing);
  expect(kalaw.secrets).toEqual(kalaw.signing);
  expect(kalaw.readers).toEqual(["lab pai@kalaw"]);
  expect(pai.trusted).toEqual(kalaw.signing);
}

test("all keys are renewed on the server alone, then on the client", async () => {
  await home().set("rotation", "server first");
  await rotateInParts("kalaw", "pai");
});

test("all keys are renewed on the client alone, then on the server", async () => {
  await home().set("rotation", "client first");
  await rotateInParts("pai", "kalaw");
});

test("all is taken away after a rotation that was not finished", async () => {
  await home().lab.powerOff("pai");
  await home().set("rotation", "not finished");
  const { code } = await run(home(), ["up", "--yes", "--skip-preview", "--json"]);
  expect(code).not.toBe(0);
  await home().lab.powerOn("pai");
  await fetches();
  expect((await standingOn(home(), "kalaw")).signing).toHaveLength(2);
  await home().stack.run(["destroy", "--yes", "--skip-preview"]);
  for (const host of ["kalaw", "pai"]) await expectNothingOn(home(), host);
});

test("one machine under two names is refused, before anything is touched", async () => {
  await writeStackFile(home(), {
    servers: {
      kalaw: await asServer(home(), "kalaw"),
      nas: {
        ...(await asServer(home(), "kalaw")),
        address: "nas",
        connection: { ...(await asServer(home(), "kalaw")).connection, host: "nas.lan" },
      },
    },
    clients: { pai: await asClient(home(), "pai", ["kalaw"]) },
  });
  const { code, stdout, stderr } = await home().stack.attempt(["up", "--yes", "--skip-preview"]);
  expect(code).not.toBe(0);
  expect(stdout + stderr).toMatch(
    /servers\.nas\.connection\.hostKey is ssh-ed25519 \S+, like that of kalaw: write its own, or call the machine kalaw in both places/,
  );
  await expectNothingOn(home(), "kalaw");
});
