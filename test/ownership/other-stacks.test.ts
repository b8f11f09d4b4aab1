import { copyFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { useHome } from "../system/home.ts";
import { asClient, asServer, type Settings, writeStackFile } from "./stack-file.ts";
import { expectNothingOn, expectWorking, standingOn } from "./standing.ts";
import { previewOf, run, truthfulUpdate } from "./truthful-update.ts";

// Each test goes on from where the one before has left the machines.
const home = useHome(["kalaw", "pai"], { after: "up" });
const friend = ["--stack", "friend"];

/** The same two machines, as any stack would name them. */
async function bothMachines(options: object = {}): Promise<Settings> {
  return {
    servers: { kalaw: { ...(await asServer(home(), "kalaw")), ...options } },
    clients: { pai: { ...(await asClient(home(), "pai", ["kalaw"])), ...options } },
  };
}

const owners = async () => [
  ...(await standingOn(home(), "kalaw")).owners,
  ...(await standingOn(home(), "pai")).owners,
];
const ofLab = ["server lab kalaw", "client lab pai"];
const ofFriend = ["server friend kalaw", "client friend pai"];

const update = (args: string[]) =>
  run(home(), ["up", "--yes", "--skip-preview", "--json", ...args]);
const hosts = ["kalaw", "pai"] as const;
const snapshots = () => Promise.all(hosts.map((host) => home().snapshot(host)));

beforeAll(async () => {
  const { stack } = home();
  await stack.run(["stack", "init", "friend"]);
  const file = (name: string) => join(stack.folder, `Pulumi.${name}.yaml`);
  // It has the same passphrase, so the secrets there are read as well.
  await copyFile(file("lab"), file("friend"));
  await writeStackFile(home(), await bothMachines(), "friend");
});

describe("a second stack for the same machines", () => {
  test("is told in its preview whose they are", async () => {
    const { said } = await previewOf(home(), friend);
    for (const [host, role] of [
      ["kalaw", "server"],
      ["pai", "client"],
    ]) {
      expect(said).toContain(
        `${host}: its part as a ${role} belongs to the stack organization/nixos-cache/lab now: ` +
          "this stack changes it only with takeOver: true",
      );
    }
  });

  test("is refused, and changes nothing that counts", async () => {
    const before = await snapshots();
    const standing = await standingOn(home(), "kalaw");
    const { code, said } = await update(friend);
    expect(code).not.toBe(0);
    expect(said).toContain(
      "this machine is a server of the stack organization/nixos-cache/lab (component kalaw)\n" +
        "If that stack is to give it up, take the machine out of its settings, or set takeOver: true for it here; then run `pulumi up` again.",
    );
    expect(await standingOn(home(), "kalaw")).toEqual(standing);
    expect(await snapshots()).toEqual(before);
    await expectWorking(home());
  });

  test("goes, and takes nothing with it", async () => {
    await home().stack.run(["destroy", "--yes", "--skip-preview", ...friend]);
    expect(await owners()).toEqual(ofLab);
    await expectWorking(home());
  });

  test("takes them over where its settings say so", async () => {
    await writeStackFile(home(), await bothMachines({ takeOver: true }), "friend");
    await truthfulUpdate(home(), friend);
    expect(await owners()).toEqual(ofFriend);
    const kalaw = await standingOn(home(), "kalaw");
    expect(kalaw.readers).toEqual(["friend pai@kalaw"]);
    expect(kalaw.secrets).toEqual(kalaw.signing);
    await expectWorking(home(), { args: friend });
  });
});

describe("the stack whose machines were taken over", () => {
  test("is told in its preview, and its update is refused", async () => {
    expect((await previewOf(home())).said).toContain(
      "kalaw: its part as a server belongs to the stack organization/nixos-cache/friend now",
    );
    await home().set("rotation", "again");
    const { code, said } = await update([]);
    expect(code).not.toBe(0);
    expect(said).toContain("is a server of the stack organization/nixos-cache/friend");
    await expectWorking(home(), { args: friend });
  });

  test("goes, and takes nothing with it", async () => {
    await home().stack.run(["destroy", "--yes", "--skip-preview"]);
    expect(await owners()).toEqual(ofFriend);
    await expectWorking(home(), { args: friend });
  });
});

describe("a stack that is renamed", () => {
  const house = ["--stack", "house"];

  test("is another stack to the machines, until its settings say that it takes them over", async () => {
    await writeStackFile(home(), await bothMachines(), "friend");
    await home().stack.run(["stack", "rename", "house", ...friend]);
    const { code, said } = await update(house);
    expect(code).not.toBe(0);
    expect(said).toContain("is a server of the stack organization/nixos-cache/friend");
    await writeStackFile(home(), await bothMachines({ takeOver: true }), "house");
    await truthfulUpdate(home(), house);
    await expectWorking(home(), { args: house });
    expect((await standingOn(home(), "kalaw")).readers).toEqual(["house pai@kalaw"]);
  });

  test("and nothing is left when it goes", async () => {
    await home().stack.run(["destroy", "--yes", "--skip-preview", ...house]);
    for (const host of hosts) await expectNothingOn(home(), host);
  });
});
