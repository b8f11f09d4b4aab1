import { beforeAll, expect, test } from "vitest";
import { useHome } from "../system/home.ts";
import { editBy } from "./owner.ts";
import { said } from "./said.ts";

// Both ways to evaluate a configuration.
const home = useHome(["kalaw", { name: "pai", kind: "channel" }]);

const words = "edits of this machine's configuration that were not switched to yet";
const edit = (text: string) => `{ environment.etc.x.text = "${text}"; }`;
const x = (host: string) => home().on(host, "cat /etc/x 2>&1 || true");
const paisPriority = (priority: number) => home().set("clients.pai.priority", `${priority}`);
const newKeys = (rotation: string) =>
  home().stack.run(["config", "set", "nixos-cache:rotation", rotation]);

beforeAll(async () => {
  await home().set("servers.kalaw.onlyOurs", "true");
  await home().set("clients.pai.onlyOurs", "true");
});

test("on machines with no edits, all that is ours goes through: the first update, new settings, new keys", async () => {
  await home().up();
  await paisPriority(30);
  await newKeys("once");
  const { stdout } = await home().up();
  expect(stdout).not.toContain(words);
});

test("so does the repair of a machine that runs an older generation", async () => {
  await home().on("pai", "nixos-rebuild switch --rollback");
  const { stdout } = await home().up();
  expect(stdout).toContain("pai has drifted");
  expect(stdout).not.toContain(words);
  await home().stack.run(["preview", "--expect-no-changes"]);
});

test("an owner's own rebuild, which drops a key that was revoked before, is no drift and no edit", async () => {
  await editBy(home(), "kalaw", edit("switched to"));
  await home().on("kalaw", "nixos-rebuild switch");
  const { stdout } = await home().stack.run(["preview", "--expect-no-changes"]);
  expect(stdout).not.toContain("drifted");
  await newKeys("again");
  expect((await home().up()).stdout).not.toContain(words);
});

test("an edit that nobody has switched to: refused, with the machine's name, and all as it was", async () => {
  await editBy(home(), "pai", edit("mine"));
  await paisPriority(31);
  const before = await home().snapshot("pai");
  const output = await home().failingUp();
  const [, diagnostics = ""] = output.split("Diagnostics:");
  expect(diagnostics).toContain("command:remote:Command (pai-settings)");
  expect(diagnostics).toContain(`this change also activates ${words}; nothing was switched`);
  expect(diagnostics).toContain("The files in /etc/nixos/nixos-cache are as they were.");
  expect(await home().snapshot("pai")).toBe(before);

  await home().on("pai", "nixos-rebuild switch");
  await home().up();
  expect(await x("pai")).toBe("mine");
  expect(await home().on("pai", "cat /etc/nix/nix.conf")).toContain("?priority=31");
});

test("where they may come with it, that is said before the switch", async () => {
  await home().set("servers.kalaw.onlyOurs", "false");
  await editBy(home(), "kalaw", edit("mine too"));
  await home().set("clients.pai.rotation", "once");
  const { stdout } = await home().up();
  const steps = said(stdout, "pai-authorization-kalaw");
  const at = steps.indexOf(`this change also activates ${words}`);
  expect(at, stdout).toBeGreaterThan(0);
  expect(steps[at + 1]).toMatch(/^switching to/);
  expect(await x("kalaw")).toBe("mine too");
});

test("a configuration that does not evaluate without the change", async () => {
  const onlyWith = (priority: number) =>
    `let wanted = builtins.fromJSON (builtins.readFile ../nixos-cache/client.json); in
     if wanted.servers.kalaw.priority == ${priority} then { } else throw "another priority"`;
  await editBy(home(), "pai", onlyWith(32));
  await paisPriority(32);
  const says = `this change may also activate ${words}: without it the configuration does not evaluate`;
  expect(await home().failingUp()).toContain(`${says}; nothing was switched`);
  await home().set("clients.pai.onlyOurs", "false");
  expect(said((await home().up()).stdout, "pai-settings")).toContain(says);
});
