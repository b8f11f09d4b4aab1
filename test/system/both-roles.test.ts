import { expect, test } from "vitest";
import { buildNewPath, fetchPath } from "../../dev/lab/demonstration.ts";
import { useHome } from "./home.ts";

const home = useHome();
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
  await home().up();
  for (const [server, client] of [
    ["kalaw", "pai"],
    ["pai", "kalaw"],
  ] as const) {
    const path = await buildNewPath(home().lab, server);
    const fetched = await fetchPath(home().lab, client, path);
    expect(fetched.copying).toContain(`ssh://nix-ssh@${server}`);
    expect(fetched.signedBy).toMatch(new RegExp(`^${server}-`));
  }
  await home().stack.run(["preview", "--expect-no-changes"]);
});

test("destroy takes away both parts of both", async () => {
  await home().stack.run(["destroy", "--yes", "--skip-preview"]);
  expect(await snapshots()).toEqual(before);
});
