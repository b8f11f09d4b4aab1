import { spawnSync } from "node:child_process";
import { expect, test } from "vitest";
import { agentScript, oneOff, packed } from "../../machine/agent.ts";
import { asRoot, sudoExplained } from "../../machine/as-root.ts";

test("the helper begins with the machine's options", () => {
  const head = (script: string) => script.split("\n").slice(0, 5);
  expect(head(agentScript())).toEqual([
    "#!/bin/sh",
    "rebuild_from=''",
    "attribute=''",
    "confirm_within=60",
    "only_ours=no",
  ]);
  expect(
    head(
      agentScript({
        rebuild: { from: "flake", attribute: "it's" },
        confirmWithin: 90,
        onlyOurs: true,
      }),
    ),
  ).toEqual([
    "#!/bin/sh",
    "rebuild_from='flake'",
    "attribute='it'\\''s'",
    "confirm_within=90",
    "only_ours=yes",
  ]);
});

test("packed, the helper is a fraction of the state that it stands in, and the same on every computer", () => {
  const script = agentScript();
  const text = packed(script);
  const unpack = spawnSync("sh", ["-c", "base64 -d | gzip -d"], { input: text, encoding: "utf8" });
  expect([unpack.status, unpack.stdout]).toEqual([0, script]);
  expect(text.length).toBeLessThan(script.length / 2);
  // No time and a fixed operating system in its header (RFC 1952).
  expect(Buffer.from(text, "base64").subarray(0, 10).toString("hex")).toBe("1f8b0800000000000203");
});

test.each(["sh", "bash"])("a call of a helper that comes with it, under %s", (shell) => {
  const script = "echo … $1 $2\ncat\necho $0 >&2\nexit 3\n";
  const { status, stdout, stderr } = spawnSync(shell, ["-c", oneOff(script, "plan server")], {
    input: `${script}settings\n`,
    encoding: "utf8",
  });
  expect([status, stdout]).toEqual([3, "… plan server\nsettings\n"]);
  expect(spawnSync("test", ["-e", stderr.trim()]).status).toBe(1);
});

test("only who is not root needs sudo", () => {
  expect(asRoot("id")).toBe("id");
  expect(asRoot("id", "root")).toBe("id");
  expect(asRoot("id", "me")).toBe("sudo -n id");
});

test("where sudo fails, the words say what to do", () => {
  const said = "sudo: a password is required\n";
  expect(sudoExplained(said, "fay")).toBe(
    "sudo: a password is required: let fay use sudo without a password (NixOS: security.sudo), or set connection.user to root",
  );
  expect(sudoExplained("sh: 1: sudo: not found\n", "fay")).toContain(
    "sudo: not found: let fay use",
  );
  expect(sudoExplained(said)).toBe(said);
  const nix = "error: the option `security.sudo.it' does not exist\n";
  expect(sudoExplained(nix, "fay")).toBe(nix);
});
