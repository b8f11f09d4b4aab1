import { beforeAll, expect, test } from "vitest";
import { useHome } from "../system/home.ts";
import { editBy } from "./owner.ts";
import { said } from "./said.ts";

// On the one Nix prints what the configuration says, on the other also what the builders say.
const home = useHome(["kalaw", { name: "pai", kind: "channel" }]);

/** 3,000 lines, one that is longer than the official plugin can take, bytes that are no text, and a colour. */
const noise = String.raw`seq -f "line %g of a talkative build" 3000
  head -c 100000 /dev/zero | tr '\0' x
  printf '\n\377\376 \033[31mred\n'`;
const talkative = (name: string) =>
  `pkgs.runCommand "${name}" { } ''${noise}; sleep 0.5; touch $out''`;

/** A module with twelve things to build that say all that, and that says as much itself. */
const twelve = (name: string) => `{ pkgs, lib, ... }:
  let
    lines = map (i: "line \${toString i} of a talkative configuration") (lib.range 1 3000);
    long = lib.concatStrings (map (i: "xxxxxxxxxx") (lib.range 1 10000));
    thing = i: lib.nameValuePair "${name}/\${toString i}" { source = ${talkative(`${name}-\${toString i}`)}; };
  in
  {
    environment.etc =
      lib.foldr builtins.trace (lib.listToAttrs (map thing (lib.range 1 12))) (lines ++ [ long ]);
  }`;
const broken = `{ pkgs, ... }: {
  environment.etc.broken.source = pkgs.runCommand "broken" { } ''${noise}; exit 1'';
}`;

/** There is a line for each pattern, in this order; and neither many lines nor long ones. */
function expectInOrder(lines: string[], patterns: RegExp[]): void {
  let at = -1;
  for (const pattern of patterns) {
    at = lines.findIndex((line, i) => i > at && pattern.test(line));
    expect(at, `${pattern} in\n${lines.join("\n")}`).toBeGreaterThan(-1);
  }
  expectShort(lines, 30);
}

function expectShort(lines: string[], many: number): void {
  expect(lines.length).toBeLessThan(many);
  expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(410);
}

beforeAll(() => home().up());

test("each machine's steps are told in their order, in few and short lines", async () => {
  // What kalaw has built, pai need not.
  await home().on(
    "kalaw",
    "nix-build --no-out-link - 2>/dev/null",
    `let pkgs = import /etc/nixpkgs { }; in ${talkative("pais-1")}`,
  );
  await editBy(home(), "kalaw", twelve("kalaws"));
  await editBy(home(), "pai", twelve("pais"));
  await home().set("servers.kalaw.onlyOurKeys", "true");
  await home().set("clients.pai.priority", "30");
  const { stdout } = await home().up();
  expectInOrder(said(stdout, "kalaw-settings"), [
    /^evaluating the configuration$/,
    /^building [1-9] of 1\d: /,
    /^building ([2-9]|1\d) of 1\d: kalaws-/,
    /^building ([3-9]|1\d) of 1\d: kalaws-/,
    /^this change may also activate edits/,
    /^switching, on trial: nixos-system-/,
  ]);
  expectInOrder(said(stdout, "pai-settings"), [
    /^evaluating the configuration$/,
    /^(this path|these 1 paths) will be fetched/,
    /^building ([2-9]|1\d) of 1\d: pais-/,
    /^building ([3-9]|1\d) of 1\d: pais-/,
    /^building 1\d of 1\d: /,
    /^this change may also activate edits/,
    /^switching, on trial: nixos-system-/,
  ]);
  expect(said(stdout, "pai-settings")).toContain("copying pais-1");
  expectInOrder(said(stdout, "kalaw-signing"), [
    /^checking the service$/,
    /^signing the store with /,
  ]);
  expectInOrder(said(stdout, "pai-identity"), [
    /^checking the service$/,
    /^reading from kalaw with its key$/,
  ]);
});

test.each([
  ["kalaw", "servers.kalaw.onlyOurKeys", "false"],
  ["pai", "clients.pai.priority", "31"],
])(
  "a build that fails after all that, on %s, says so in few and short lines",
  async (host, setting, value) => {
    await editBy(home(), host, broken);
    await home().set(setting, value);
    const output = await home().failingUp();
    const [, diagnostics = ""] = output.split("\nDiagnostics:");
    const entry =
      diagnostics.split("\n\n").find((text) => text.includes(`(${host}-settings)`)) ?? "";
    expect(entry, output).toContain("the configuration does not build, nothing was switched");
    expect(entry).toMatch(/builder for '\S+-broken.drv' failed|nix log \S+-broken.drv/);
    expectShort(entry.split("\n"), 40);
    await editBy(home(), host);
    await home().up();
  },
);
