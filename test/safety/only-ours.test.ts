import { beforeAll, expect, test } from "vitest";
import { useHome } from "../system/home.ts";
import { editBy } from "./owner.ts";
import { said, unchanged } from "./said.ts";

// Both ways to evaluate a configuration.
const home = useHome(["kalaw", { name: "pai", kind: "channel" }]);

const edits = "edits of this machine's configuration";
const evaluating = "evaluating the configuration without this change";
const edit = (text: string) => `{ environment.etc.x.text = "${text}"; }`;
const x = (host: string) => home().on(host, "cat /etc/x 2>&1 || true");
const paisPriority = (priority: number) => home().set("clients.pai.priority", `${priority}`);
const newKeys = (rotation: string) =>
  home().stack.run(["config", "set", "nixos-cache:rotation", rotation]);
const kalawsKeys = (only: boolean) => home().set("servers.kalaw.onlyOurKeys", `${only}`);

/** That an update fails on pai before a switch, with these words, and leaves it as it is. */
async function refused(words: string): Promise<void> {
  const before = await home().snapshot("pai");
  const output = await home().failingUp();
  const [, diagnostics = ""] = output.split("Diagnostics:");
  expect(diagnostics).toContain("command:remote:Command (pai-settings)");
  expect(diagnostics).toContain(`${words}; nothing was switched`);
  expect(diagnostics).toContain("The files in /etc/nixos/nixos-cache are as they were.");
  expect(await home().snapshot("pai")).toBe(before);
}

beforeAll(async () => {
  // A flake that asks for its revision, of a repository in which not all is committed.
  await home().on(
    "kalaw",
    `cd /etc/nixos && sed -i 's/{ nixpkgs, ... }/{ self, nixpkgs, ... }/
       s|./network.nix|& { environment.etc.revision.text = self.rev or self.dirtyRev; }|' flake.nix &&
     git -c user.name=owner -c user.email=owner@lab commit -q -a -m "Say which revision this is" &&
     echo '# not committed' >>network.nix && nixos-rebuild switch && grep dirty /etc/revision`,
  );
  await home().set("servers.kalaw.onlyOurs", "true");
  await home().set("clients.pai.onlyOurs", "true");
});

test("on machines with no edits, all that is ours goes through: the first update, new settings, new keys", async () => {
  await home().up();
  await paisPriority(30);
  await kalawsKeys(true);
  const { stdout } = await home().up();
  expect(stdout).not.toContain(edits);
  for (const step of ["kalaw-settings", "pai-settings"]) {
    const [first, ...rest] = said(stdout, step).filter((line) => !line.startsWith("building"));
    expect([first, rest[0], rest[1]?.replace(/-(kalaw|pai)-.*/, "")]).toEqual([
      "evaluating the configuration",
      evaluating,
      "switching, on trial: nixos-system",
    ]);
  }
  await newKeys("once");
  expect((await home().up()).stdout).not.toContain("evaluating");
});

test("so does the repair of a machine that runs an older generation", async () => {
  await home().on("pai", "nixos-rebuild switch --rollback");
  const { stdout } = await home().up();
  expect(stdout).toContain("pai has drifted");
  expect(stdout).not.toContain(edits);
  await unchanged(home());
});

test("an owner's own rebuild is no drift and no edit", async () => {
  await editBy(home(), "kalaw", edit("switched to"));
  await home().on("kalaw", "nixos-rebuild switch");
  await unchanged(home());
  await kalawsKeys(false);
  expect((await home().up()).stdout).not.toContain(edits);
  expect(await x("kalaw")).toBe("switched to");
});

test("an edit that nobody has switched to: refused, with the machine's name, and all as it was", async () => {
  await editBy(home(), "pai", edit("mine"));
  await paisPriority(31);
  await refused(`the rebuild would also activate ${edits} that were not switched to yet`);

  await home().on("pai", "nixos-rebuild switch");
  await home().up();
  expect(await x("pai")).toBe("mine");
  expect(await home().on("pai", "cat /etc/nix/nix.conf")).toContain("?priority=31");
});

test("where they may come with it, the files' names are said before the switch, and nothing more is evaluated", async () => {
  await home().set("servers.kalaw.onlyOurs", "false");
  await editBy(home(), "kalaw", edit("mine too"));
  await home().on("kalaw", "touch /etc/nixos/new-1.nix /etc/nixos/new-2.nix /etc/nixos/new-3.nix");
  await kalawsKeys(true);
  const { stdout } = await home().up();
  expect(stdout).not.toContain(evaluating);
  const steps = said(stdout, "kalaw-settings");
  const at = steps.findIndex((line) => line.includes(edits));
  const today = new Date().toISOString().slice(0, 10);
  expect(steps[at], stdout).toBe(
    `this change may also activate ${edits}: hosts/kalaw.nix new-1.nix new-2.nix and 1 more, ` +
      `edited since ${steps[at]?.match(`${today} \\d\\d:\\d\\d$`)?.[0]}`,
  );
  expect(steps[at + 1]).toMatch(/^switching, on trial/);
  expect(await x("kalaw")).toBe("mine too");

  // And not, once they have been switched to.
  await kalawsKeys(false);
  expect((await home().up()).stdout).not.toContain(edits);
});

test("so is a system that somebody is trying out", async () => {
  await editBy(home(), "kalaw", edit("a try"));
  await home().on("kalaw", "nixos-rebuild test");
  await kalawsKeys(true);
  expect(said((await home().up()).stdout, "kalaw-settings")).toContain(
    `this change may also activate ${edits}: what runs is no generation of the system profile`,
  );
  await unchanged(home());
});

test("a configuration that does not evaluate without the change", async () => {
  const onlyWith = (priority: number) =>
    `let wanted = builtins.fromJSON (builtins.readFile ../nixos-cache/client.json); in
     if wanted.servers.kalaw.priority == ${priority} then { } else throw "another priority"`;
  await editBy(home(), "pai", onlyWith(32));
  await paisPriority(32);
  await refused(`the rebuild may also activate ${edits}: without this change it does not evaluate`);
  await home().set("clients.pai.onlyOurs", "false");
  expect(said((await home().up()).stdout, "pai-settings").join("\n")).toContain(
    `this change may also activate ${edits}: hosts/pai.nix edited since`,
  );
});
