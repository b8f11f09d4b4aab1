import { beforeAll, describe, expect, test } from "vitest";
import { buildNewPath } from "../../dev/lab/demonstration.ts";
import { asClient, asServer, writeStackFile } from "../ownership/stack-file.ts";
import { expectNothingOn, expectWorking, standingOn } from "../ownership/standing.ts";
import { previewOf, truthfulUpdate } from "../ownership/truthful-update.ts";
import { useHome } from "../system/home.ts";
import { deploy, moduleFile, takeModuleIn, write } from "./owner.ts";

const home = useHome();
const hosts = ["kalaw", "pai"] as const;

const configuration = () =>
  Promise.all(
    hosts.map((host) => home().on(host, "cd /etc/nixos && git status --porcelain --branch && ls")),
  );
const generations = () => Promise.all(hosts.map((host) => home().generations(host)));

/** How pai's owner deploys what the stack puts out. */
async function deployOutput(): Promise<void> {
  const { stdout } = await home().stack.run(["stack", "output", "settings", "--json"]);
  await write(home(), "pai", "settings.json", stdout);
  await deploy(
    home(),
    "pai",
    `{
      imports = [ ${moduleFile} ];
      services.nixos-cache = (builtins.fromJSON (builtins.readFile ../settings.json)).pai;
    }`,
  );
}

/** How somebody deploys other settings there. */
async function deployPriority(priority: number): Promise<void> {
  await deploy(
    home(),
    "pai",
    `{ lib, ... }: {
      imports = [ ${moduleFile} ];
      services.nixos-cache = lib.recursiveUpdate
        (builtins.fromJSON (builtins.readFile ../settings.json)).pai
        { client.servers.kalaw.priority = ${priority}; };
    }`,
  );
}

beforeAll(async () => {
  for (const host of hosts) await takeModuleIn(home(), host);
  const rebuild = { by: "owner" };
  await writeStackFile(home(), {
    servers: { kalaw: { ...(await asServer(home(), "kalaw")), rebuild } },
    clients: { pai: { ...(await asClient(home(), "pai", ["kalaw"])), rebuild } },
  });
});

describe("before the owners have deployed the settings", () => {
  test("the update fails, says what to deploy, and leaves their configurations alone", async () => {
    const before = [await configuration(), await generations()];
    const said = await home().failingUp();
    expect(said).toContain(
      "the running system does not have the settings of services.nixos-cache.server yet",
    );
    expect(said).toContain('{"onlyOurKeys":false}');
    expect([await configuration(), await generations()]).toEqual(before);
  });

  test("one after the other: then it fails on the one that is left", async () => {
    await deploy(
      home(),
      "kalaw",
      `{ imports = [ ${moduleFile} ]; services.nixos-cache.server.enable = true; }`,
    );
    const said = await home().failingUp();
    expect(said).not.toContain("services.nixos-cache.server yet");
    expect(said).toContain(
      "the running system does not have the settings of services.nixos-cache.client yet",
    );
    const hostKey = await home().lab.hostKey("kalaw");
    const settings = { address: "kalaw", hostKey, port: 22, priority: null, protocol: null };
    expect(said).toContain(JSON.stringify({ servers: { kalaw: settings } }));
  });
});

describe("once they have", () => {
  test("it goes through, without a rebuild", async () => {
    await deployOutput();
    const before = [await configuration(), await generations()];
    await truthfulUpdate(home());
    await expectWorking(home());
    expect([await configuration(), await generations()]).toEqual(before);
    await home().on("pai", "test ! -e /etc/nixos/nixos-cache");
  });

  test("a rotation asks for no deployment", async () => {
    const before = [await configuration(), await generations(), await standingOn(home(), "kalaw")];
    await home().set("rotation", "2");
    await truthfulUpdate(home());
    await expectWorking(home());
    const after = [await configuration(), await generations(), await standingOn(home(), "kalaw")];
    expect(after.slice(0, 2)).toEqual(before.slice(0, 2));
    expect(after[2]).not.toEqual(before[2]);
  });
});

describe("other settings", () => {
  test("in the stack: it asks to deploy them, and goes on with the old ones", async () => {
    await home().set("clients.pai.priority", "30");
    expect((await previewOf(home())).changes).toEqual([
      "update pai-identity",
      "update pai-settings",
    ]);
    const said = await home().failingUp();
    expect(said).toContain("services.nixos-cache.client yet");
    expect(said).toContain('"priority":30');
    expect(said).toContain('"priority":null');
    await home().on("pai", `nix-store --realise ${await buildNewPath(home().lab, "kalaw")}`);

    await deployOutput();
    await truthfulUpdate(home());
    await expectWorking(home());
    expect(await home().on("pai", "cat /etc/nix/nix.conf")).toContain("?priority=30");
  });

  test.each([
    ["other settings", () => deployPriority(50)],
    ["a system without services.nixos-cache.client", () => deploy(home(), "pai", "{ }")],
  ])("on the machine: the preview says that somebody has deployed %s", async (what, deployIt) => {
    await deployIt();
    const { changes, said } = await previewOf(home());
    expect(said).toContain(
      `pai has drifted: its owner has deployed ${what}. \`pulumi up\` says what to deploy.`,
    );
    expect(changes).toEqual(["update pai-identity", "update pai-settings"]);
    const update = await home().failingUp();
    expect(update).toContain("services.nixos-cache.client yet");
    expect(update).toContain('"priority":30');

    await deployOutput();
    expect((await previewOf(home())).said).toBe("The update would rebuild no machine.\n");
    await expectWorking(home());
  });
});

test("destroy takes the keys away, and says what to take out of the configuration", async () => {
  const before = [await configuration(), await generations()];
  const { stdout } = await home().stack.run(["destroy", "--yes", "--skip-preview"]);
  for (const role of ["server", "client"]) {
    expect(stdout).toContain(
      `take services.nixos-cache.${role} out of this machine's configuration`,
    );
  }
  expect([await configuration(), await generations()]).toEqual(before);
  for (const host of hosts) {
    await home().on(host, "test ! -e /var/lib/nixos-cache");
    // A build goes on, with settings that lead nowhere.
    await home().on(host, `nix-store --realise ${await buildNewPath(home().lab, host)}`);
  }

  for (const host of hosts) {
    await deploy(home(), host, "{ }");
    await expectNothingOn(home(), host);
  }
});
