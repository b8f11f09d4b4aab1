import { beforeAll, describe, expect, test } from "vitest";
import { buildNewPath, fetchPath } from "../../dev/lab/demonstration.ts";
import { keysOf } from "../rotation/keys.ts";
import { useHome } from "../system/home.ts";
import { unchanged } from "./said.ts";

// One machine of each kind that people have.
const home = useHome([
  { name: "kalaw", kind: "git" },
  { name: "pai", kind: "channel" },
  { name: "inle", kind: "no-git" },
]);
const hosts = ["kalaw", "pai", "inle"];
const clients = ["pai", "inle"];
const groupOf = (host: string) => `${host === "kalaw" ? "servers" : "clients"}.${host}`;
const before = new Map<string, string>();

const fetches = async () => {
  const path = await buildNewPath(home().lab, "kalaw");
  for (const client of clients) await fetchPath(home().lab, client, path);
};

beforeAll(async () => {
  // As with impermanence: what is to outlive a start is a mount.
  const mount =
    "mkdir -p /persist /var/lib/nixos-cache && mount --bind /persist /var/lib/nixos-cache";
  await home().on("inle", mount);
  for (const host of hosts) before.set(host, await home().snapshot(host));
});

test("up from nothing: all fetch, and nothing is left to do", async () => {
  await home().up();
  await fetches();
  await unchanged(home());
});

test("new keys", async () => {
  const old = await Promise.all(clients.map((client) => keysOf(home(), client)));
  await home().stack.run(["config", "set", "nixos-cache:rotation", "2"]);
  await home().up();
  for (const [n, client] of clients.entries()) {
    const now = await keysOf(home(), client);
    expect(now).toHaveLength(1);
    expect(now).not.toEqual(old[n]);
  }
  await fetches();
  await unchanged(home());
});

test("drift is found and repaired", async () => {
  await home().on("kalaw", "echo >>/etc/nixos/nixos-cache/server.json");
  for (const client of clients)
    await home().on(client, "sed -i s/22/2222/ /etc/nixos/nixos-cache/client.json");
  const { stdout } = await home().stack.run(["preview"]);
  expect(stdout).toMatch(/kalaw has drifted: \S+\/server.json was changed by hand/);
  for (const client of clients)
    expect(stdout).toMatch(
      new RegExp(`${client} has drifted: \\S+/client.json was changed by hand`),
    );
  await home().up();
  await unchanged(home());
  await fetches();
});

// Of a repository: faults.test.ts, repository.test.ts.
test("a configuration that does not build is not switched to, and the files are put back", async () => {
  const edit = (script: string) =>
    Promise.all(
      clients.map((client) =>
        home().on(client, `sed -i '${script}' /etc/nixos/hosts/${client}.nix`),
      ),
    );
  const snapshots = () => Promise.all(clients.map((client) => home().snapshot(client)));
  await edit("1s/{/{ there.is.no = true;/");
  const broken = await snapshots();
  for (const client of clients) await home().set(`${groupOf(client)}.priority`, "5");

  const said = await home().failingUp();
  for (const client of clients) {
    const [, diagnostics = ""] = said.split(`command:remote:Command (${client}-settings)`);
    expect(diagnostics).toMatch(
      /^[\s\S]{0,400}the configuration does not build, nothing was switched[\s\S]*option `there' does not exist/,
    );
  }
  expect(await snapshots()).toEqual(broken);

  await edit("1s/ there.is.no = true;//");
  await home().up();
  await unchanged(home());
  await fetches();
});

describe("what is rebuilt can be chosen", () => {
  // Which configuration a machine runs, in a file of /etc.
  const mark = (word: string) => `sed '1s/{/{ environment.etc.mark.text = "${word}";/'`;

  test("an entry of the flake with another name", async () => {
    await home().on("inle", `cd /etc/nixos/hosts && ${mark("desk")} inle.nix >desk.nix`);
    await home().set("clients.inle.rebuild.attribute", "desk");
    await home().set("clients.inle.priority", "6");
    await home().up();
    expect(await home().on("inle", "cat /etc/mark")).toBe("desk");
    await unchanged(home());
  });

  test("channels, on a machine that has a flake too", async () => {
    await home().on(
      "kalaw",
      `cd /etc/nixos && printf '{ imports = [ ./base.nix ./network.nix ./hosts/kalaw.nix ]; environment.etc.mark.text = "channel"; }' >configuration.nix`,
    );
    await home().set("servers.kalaw.rebuild.from", "channel");
    await home().set("servers.kalaw.onlyOurKeys", "true");
    await home().up();
    expect(await home().on("kalaw", "cat /etc/mark")).toBe("channel");
    await unchanged(home());
    await fetches();
  });

  test("a flake, on a machine that has none: told in words, and nothing happens to it", async () => {
    const snapshot = await home().snapshot("pai");
    await home().set("clients.pai.rebuild.from", "flake");
    await home().set("clients.pai.priority", "7");
    expect(await home().failingUp()).toMatch(/flake/);
    expect(await home().snapshot("pai")).toBe(snapshot);
  });

  test("and back to what the machine itself has", async () => {
    await home().on("kalaw", "rm /etc/nixos/configuration.nix");
    await home().on("inle", "rm /etc/nixos/hosts/desk.nix");
    for (const host of hosts)
      await home().stack.run(["config", "rm", "--path", `nixos-cache:${groupOf(host)}.rebuild`]);
    await home().set("clients.inle.priority", "8");
    await home().set("servers.kalaw.onlyOurKeys", "false");
    await home().up();
    expect(await home().on("kalaw", "ls /etc/mark 2>&1 || true")).toContain("No such file");
    expect(await home().on("inle", "ls /etc/mark 2>&1 || true")).toContain("No such file");
    await unchanged(home());
    await fetches();
  });
});

test("destroy leaves each as it was", async () => {
  await home().stack.run(["destroy", "--yes", "--skip-preview"]);
  for (const host of hosts) expect(await home().snapshot(host)).toBe(before.get(host));
});
