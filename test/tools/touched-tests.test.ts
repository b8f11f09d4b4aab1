import { expect, test } from "vitest";
import { changedSince, checkoutFiles } from "../changed-files.ts";
import { affordable, touchedTests } from "../touched-tests.ts";

const touchedBy = (files: Record<string, string>, ...changed: string[]) =>
  Object.fromEntries(
    touchedTests(new Map(Object.entries(files)), changed).tests.map((t) => [t.file, t.distance]),
  );

test("through imports, named scripts and folders, in any number of steps; not through comments", () => {
  const files = {
    "lab/host.ts": 'import "./until.ts"; run(script("boot.sh")); // as other.sh does',
    "lab/until.ts": "",
    "lab/boot.sh": "# not other.sh\n. ./mounts.sh",
    "lab/mounts.sh": "",
    "lab/other.sh": "",
    "lab/tree.ts": 'join(here, "stand-in")',
    "dev/stand-in/lib/types.nix": "",
    "test/host.test.ts": 'import { Host } from "../lab/host.ts";',
    "test/tree.test.ts": 'import "../lab/tree.ts"',
    "notes.md": "lab/host.ts",
  };
  expect(touchedBy(files, "lab/mounts.sh")).toEqual({ "test/host.test.ts": 3 });
  expect(touchedBy(files, "lab/until.ts", "lab/host.ts")).toEqual({ "test/host.test.ts": 1 });
  expect(touchedBy(files, "dev/stand-in/lib/types.nix")).toEqual({ "test/tree.test.ts": 2 });
  expect(touchedBy(files, "test/tree.test.ts")).toEqual({ "test/tree.test.ts": 0 });
  const { tests, unknown } = touchedTests(new Map(Object.entries(files)), [
    "lab/other.sh",
    "notes.md",
  ]);
  expect({ tests, unknown }).toEqual({ tests: [], unknown: ["lab/other.sh", "notes.md"] });
});

test("a test that is named after a change counts as near, however far it is", () => {
  const files = {
    "plan.sh": "",
    "all.sh": ". ./plan.sh",
    "agent.ts": '"all.sh"',
    "test/plan.test.ts": 'import "../agent.ts"',
    "test/other.test.ts": 'import "../agent.ts"',
  };
  expect(touchedBy(files, "plan.sh")).toEqual({ "test/plan.test.ts": 1, "test/other.test.ts": 3 });
});

test("the nearest, then the quickest, for as long as there is time; what is changed itself in any case", () => {
  const tests = [
    { file: "far", distance: 3 },
    { file: "slow", distance: 1 },
    { file: "quick", distance: 1 },
    { file: "unknown", distance: 2 },
    { file: "changed", distance: 0 },
  ];
  const seconds: Record<string, number> = { far: 5, slow: 50, quick: 10, changed: 30 };
  const choose = (budget: number) => affordable(tests, (file) => seconds[file], budget);
  expect(choose(100)).toEqual({
    run: ["changed", "quick", "slow", "far"],
    leftOut: ["unknown"],
  });
  expect(choose(20)).toEqual({ run: ["changed"], leftOut: ["quick", "slow", "unknown", "far"] });
});

test("in this checkout, what no import shows", async () => {
  const files = await checkoutFiles();
  const touched = (file: string) => touchedTests(files, [file]).tests.map((t) => t.file);
  for (const file of ["index.ts", "dev/nixos-stand-in/install.sh"]) {
    expect(files.has(file)).toBe(true);
    expect(touched(file)).toContain("test/lab/home-snapshot.test.ts");
  }
  expect(touched("dev/command-stand-in/dial.ts")).toContain("test/command-plugin/dialling.test.ts");
  expect(touched("dev/lab/boot.sh")).not.toContain("test/unit/keys.test.ts");
  expect(await changedSince("HEAD")).toBeInstanceOf(Array);
});
