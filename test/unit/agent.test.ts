import { spawnSync } from "node:child_process";
import { expect, test } from "vitest";
import { agentScript, oneOff } from "../../machine/agent.ts";
import { asRoot } from "../../machine/as-root.ts";

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
