import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { ownProtocol } from "../own-protocol.ts";
import { useHome } from "./home.ts";

const home = useHome();
let before: { kalaw: string; pai: string };

const snapshots = async () => ({
  kalaw: await home().snapshot("kalaw"),
  pai: await home().snapshot("pai"),
});

beforeAll(async () => {
  before = await snapshots();
});

describe("a mistake in the settings", () => {
  test.each([
    [
      "clients.pai.prioritiy",
      "30",
      "nixos-cache:clients.pai.prioritiy is no setting: write one of connection, servers, priority",
    ],
    [
      "clients.pai.servers[0]",
      "kalwa",
      'nixos-cache:clients.pai.servers[0] names "kalwa", which is no server: write one of kalaw',
    ],
    ["servers.kalaw.connection.port", "0", "is no port: write a whole number from 1 to 65535"],
    [
      "clients.pai.connection.host",
      "kalaw.lan",
      "nixos-cache:clients.pai.connection.host is kalaw.lan port 22, like that of kalaw",
    ],
    [
      "clients.pai.rebuild",
      "flake",
      "nixos-cache:clients.pai.rebuild is no group of settings: write { from: flake, attribute: … }",
    ],
  ])("%s: one message, and nothing touched", async (setting, value, message) => {
    const file = join(home().stack.folder, "Pulumi.lab.yaml");
    const right = await readFile(file, "utf8");
    if (value === "kalaw.lan") await home().set("servers.kalaw.connection.host", value);
    await home().set(setting, value);
    const output = await home().failingUp();
    expect(output).toContain(message);
    expect(output).not.toMatch(/^\s+at .*\.[jt]s:\d+/m);
    expect(await snapshots()).toEqual(before);
    await writeFile(file, right);
  });
});

describe("a configuration that is not ready", () => {
  /** Runs an update that fails on kalaw, whose owner has made this change. */
  async function failingUpAfter(change: string): Promise<string> {
    await home().on("kalaw", `cp -a /etc/nixos /root/nixos && cd /etc/nixos && ${change}`);
    const output = await home().failingUp();
    const [system] = before.kalaw.split("\n");
    const left = {
      system: await home().on("kalaw", "readlink -f /run/current-system"),
      ours: await home().on("kalaw", "cd /etc/nixos && git status --porcelain nixos-cache"),
      data: await home().on("kalaw", "cd /var/lib/nixos-cache && ls -A && find secret -type f"),
      pai: await home().snapshot("pai"),
    };
    await home().on(
      "kalaw",
      "cd /etc/nixos && git checkout --quiet -- base.nix hosts && rm -r /root/nixos",
    );
    // Nothing of ours stays but the helper, for the next try, and on kalaw whose it is now.
    expect(left).toEqual({
      system,
      ours: "",
      data: "expected\nhelper\nlog\nowners\nsecret",
      pai: before.pai.replace(/^stat: .*nixos-cache.*$/m, await helperFolder("pai")),
    });
    return output;
  }

  /** The line of the helper's folder in a snapshot: it stays for the next try. */
  const helperFolder = (host: string) => home().on(host, "stat -c '%A %U %n' /var/lib/nixos-cache");

  test("that does not import the module: the line to add, and nothing switched", async () => {
    const output = await failingUpAfter("sed -i '/nixos-cache/d' base.nix");
    expect(output).toContain("does not import nixos-cache, nothing was switched");
    expect(output).toContain("    imports = [ ./nixos-cache ];");
    // As a preview says, too.
    expect(output).toContain("kalaw: no file of its configuration names our folder yet");
    expect(output).not.toContain("pai: no file");
  });

  test("that calls the machine by another name than it has: what to do, and nothing switched", async () => {
    const output = await failingUpAfter(`sed -i 's/"kalaw"/"kalaw-2"/' hosts/kalaw.nix`);
    expect(output).toContain(
      "the configuration calls this machine kalaw-2, and it is still kalaw; nothing was switched",
    );
  });

  test("that does not build: Nix's own words, and nothing switched", async () => {
    const output = await failingUpAfter(
      `sed -i '1a networking.hostNme = "kalaw";' hosts/kalaw.nix`,
    );
    expect(output).toContain("the configuration does not build, nothing was switched");
    expect(output).toContain("The option `networking.hostNme' does not exist");
  });

  test.each([
    [
      "is not there",
      "mv /etc/nixos /root/aside",
      "mv /root/aside /etc/nixos",
      "there is no /etc/nixos on this machine, which `pulumi up` rebuilds it from",
    ],
    [
      "is in a repository of which only git can say what belongs to it, and there is no git",
      `sed -i '/pkgs.git/d' /etc/nixos/base.nix && nixos-rebuild switch && mv /usr/bin/git /root/`,
      "mv /root/git /usr/bin/ && git -C /etc/nixos checkout -q base.nix && nixos-rebuild switch",
      "/etc/nixos is a git repository, and there is no git on this machine for root",
    ],
  ])("that %s: what to do, and nothing touched", async (_, spoil, mend, words) => {
    await home().on("kalaw", "rm -rf /var/lib/nixos-cache");
    await home().on("kalaw", spoil);
    const [output] = [await home().failingUp()];
    expect(output).toContain(words);
    // Nothing but the helper.
    expect(await home().on("kalaw", "ls -A /var/lib/nixos-cache")).toBe("helper");
    await home().on("kalaw", mend);
  });

  test("and once it is, the next up goes through", async () => {
    await home().up();
    await home().stack.run(["preview", "--expect-no-changes"]);
  });
});

describe("later", () => {
  test("a failing rebuild leaves the settings and git's index as they were", async () => {
    const file = "/etc/nixos/hosts/pai.nix";
    await home().on(
      "pai",
      `cp -a ${file} /root/ && sed -i '1a networking.hostNme = "pai";' ${file}`,
    );
    const changed = await home().snapshot("pai");
    await home().set("clients.pai.priority", "30");
    expect(await home().failingUp()).toContain("does not build");
    expect(await home().snapshot("pai")).toBe(changed);

    await home().on(
      "pai",
      `cp -a /root/pai.nix ${file} && rm /root/pai.nix && git -C /etc/nixos status`,
    );
    await home().up();
    expect(await home().on("pai", "cat /etc/nix/nix.conf")).toContain(
      `${ownProtocol}://nix-ssh@kalaw?priority=30`,
    );
  });

  test("a preview shows a change of settings as JSON", async () => {
    await home().set("clients.pai.priority", "50");
    const { stdout } = await home().stack.run(["preview", "--diff"]);
    expect(stdout).toMatch(/~ stdin: \(json\) \{.*~ kalaw: \{.*~ priority: 30 => 50/s);
    await home().up();
  });

  test("an import line that stays after a destroy goes on working, and the person is told", async () => {
    await home().on(
      "pai",
      "cd /etc/nixos && sed -i 's|^.*pathExists ./nixos-cache.*$|imports = [ ./nixos-cache ];|' base.nix",
    );
    const { stdout } = await home().stack.run(["destroy", "--yes", "--skip-preview"]);
    expect(stdout).toContain("left an empty module in /etc/nixos/nixos-cache");
    await home().on("pai", "cd /root && nixos-rebuild build && rm result");
  });
});
