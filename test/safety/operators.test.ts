import { beforeAll, describe, expect, test } from "vitest";
import { buildNewPath, fetchPath } from "../../dev/lab/demonstration.ts";
import { keysOf } from "../rotation/keys.ts";
import { useHome } from "../system/home.ts";
import { shutOut } from "./faults.ts";
import { editBy } from "./owner.ts";

const home = useHome();
const hosts = ["kalaw", "pai"] as const;
// Whoever logs in has another shell: fish on kalaw, zsh on pai.
const operators = { kalaw: "fay", pai: "zoe" } as const;
const before = new Map<string, string>();

const fetches = async () => fetchPath(home().lab, "pai", await buildNewPath(home().lab, "kalaw"));

async function unchanged(): Promise<void> {
  const { stdout, stderr } = await home().stack.run(["preview", "--expect-no-changes"]);
  expect(stdout + stderr).not.toMatch(/drifted|unknown/);
}

beforeAll(async () => {
  await home().set("servers.kalaw.connection.user", operators.kalaw);
  await home().set("clients.pai.connection.user", operators.pai);
  for (const host of hosts) before.set(host, await home().snapshot(host));
});

describe("an operator who is not root", () => {
  test("plans and sets up", async () => {
    await home().stack.run(["config", "set", "nixos-cache:plan", "true"]);
    const { stdout, stderr } = await home().stack.run(["preview"]);
    await home().stack.run(["config", "rm", "nixos-cache:plan"]);
    expect(stdout + stderr).toMatch(/plan for kalaw \(server\): new system \/nix\/store\/\S+/);
    expect(stdout + stderr).not.toMatch(/is unknown|no plan for/);
    for (const host of hosts) expect(await home().snapshot(host)).toBe(before.get(host));
    await home().up();
    await unchanged();
    await fetches();
  });

  test("gets a machine back that has shut them out, and renews the keys after that", async () => {
    const old = await keysOf(home(), "pai");
    await editBy(home(), "kalaw", shutOut);
    await home().set("servers.kalaw.confirmWithin", "10");
    await home().set("servers.kalaw.onlyOurKeys", "true");
    await home().stack.run(["config", "set", "nixos-cache:rotation", "2"]);
    const said = await home().failingUp();
    expect(said).toMatch(
      /nobody confirmed the change within 10 s[^\n]*\s+The machine is back on the system before/,
    );
    await editBy(home(), "kalaw");
    await home().up();
    expect(await keysOf(home(), "pai")).toHaveLength(1);
    expect(await keysOf(home(), "pai")).not.toEqual(old);
    await unchanged();
    await fetches();
  });

  test("sees drift, and repairs it", async () => {
    await home().on("kalaw", "echo >>/etc/nixos/nixos-cache/server.json");
    await home().on("pai", "rm /var/lib/nixos-cache/secret/identity");
    const { stdout } = await home().stack.run(["preview"]);
    expect(stdout).toContain(
      "kalaw has drifted: /etc/nixos/nixos-cache/server.json was changed by hand",
    );
    expect(stdout).toContain("pai has drifted: secret/identity is missing");
    await home().up();
    await unchanged();
    await fetches();
  });
});

describe("where there is no room", () => {
  /** Puts a small file system without a free byte over a folder, for as long as `work` takes. */
  async function whileFull(folders: Record<string, string>, work: () => Promise<void>) {
    try {
      for (const [host, folder] of Object.entries(folders)) {
        await home().on(
          host,
          `mount -t tmpfs -o size=64k,mode=700,uid=$(stat -c %u ${folder}) tmpfs ${folder}
           cat /dev/zero >${folder}/filling 2>/dev/null; ! echo 2>/dev/null >${folder}/more`,
        );
      }
      await work();
    } finally {
      for (const [host, folder] of Object.entries(folders))
        await home().on(host, `cd / && umount ${folder}`);
    }
  }

  test("in the operators' homes, where the helper is, nothing is done, and the next update goes through", async () => {
    const old = await keysOf(home(), "pai");
    await home().stack.run(["config", "set", "nixos-cache:rotation", "3"]);
    await whileFull({ kalaw: "/home/fay", pai: "/home/zoe" }, async () => {
      expect(await home().failingUp()).toMatch(/kalaw-helper\)|the helper is not whole/);
    });
    expect(await keysOf(home(), "pai")).toEqual(old);
    await home().up();
    expect(await keysOf(home(), "pai")).not.toEqual(old);
    await unchanged();
    await fetches();
  });

  test("in root's home, where Nix has its cache of flakes, nothing is switched and the words say why", async () => {
    await home().set("clients.pai.priority", "4");
    const snapshots = async () => Promise.all(hosts.map((host) => home().snapshot(host)));
    const healthy = await snapshots();
    await whileFull({ kalaw: "/root", pai: "/root" }, async () => {
      const said = await home().failingUp();
      expect(said).toContain("the configuration does not build, nothing was switched");
      expect(said).toMatch(/disk is full \(in '\/root\/\.cache\/nix\//);
    });
    expect(await snapshots()).toEqual(healthy);
    await home().up();
    await unchanged();
    await fetches();
  });
});

test("without sudo, the operator reads what to do", async () => {
  const advice =
    "sudo: a password is required: let zoe use sudo without a password (NixOS: security.sudo), or set connection.user to root";
  await home().on(
    "pai",
    `cp -P /etc/sudoers /etc/sudoers.before && cp /etc/sudoers /etc/sudoers.new &&
     echo 'zoe ALL=(ALL:ALL) PASSWD: ALL' >>/etc/sudoers.new && mv /etc/sudoers.new /etc/sudoers`,
  );
  const snapshot = await home().snapshot("pai");
  await home().set("clients.pai.priority", "5");
  await home().stack.run(["config", "set", "nixos-cache:plan", "true"]);
  const { stdout } = await home().stack.run(["preview"]);
  await home().stack.run(["config", "rm", "nixos-cache:plan"]);
  expect(stdout).toMatch(/warning: pai: could not be looked at, so how it stands is unknown/);
  expect(stdout.split("unknown: ")[1]).toContain(advice);
  expect(stdout.split("no plan for pai (client): ")[1]).toContain(advice);

  const said = await home().failingUp();
  expect(said).toContain(advice);
  expect(said.split("command:remote:Command (pai-settings)")[1]).toMatch(
    /running "sudo -n .*\n +sudo: a password is required\n/,
  );
  expect(await home().snapshot("pai")).toBe(snapshot);
  await home().on("pai", "mv /etc/sudoers.before /etc/sudoers");
  await home().up();
  await unchanged();
});

test("destroy leaves each machine as it was", async () => {
  await home().stack.run(["destroy", "--yes", "--skip-preview"]);
  for (const host of hosts) expect(await home().snapshot(host)).toBe(before.get(host));
});
