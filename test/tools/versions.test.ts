import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { checkout } from "../../dev/tools/checkout.ts";
import {
  atLeast,
  commandPluginVersion,
  languageHostVersion,
  pulumiVersion,
  requiredPulumiVersion,
} from "../../dev/tools/versions.ts";

const read = (...file: string[]) => readFile(join(checkout, ...file), "utf8");

test("the CLI is the release of the SDK, and new enough for Pulumi.yaml", async () => {
  const sdk = JSON.parse(await read("package.json")).devDependencies["@pulumi/pulumi"];
  expect(pulumiVersion()).toBe(sdk);
  expect(await read("dev", "tools", "pulumi", "go.mod")).toContain(`pulumi/sdk/v3 v${sdk} `);
  expect(atLeast(pulumiVersion(), requiredPulumiVersion())).toBe(true);
});

test("the language host comes from a release that carries it, with its checksum", async () => {
  const line = `github.com/pulumi/pulumi/sdk/v3 v${languageHostVersion()} h1:`;
  expect(await read("dev", "tools", "language-nodejs", "go.sum")).toContain(line);
});

test("the plugin's version is that of the installed SDK", async () => {
  const sdk = JSON.parse(await read("node_modules", "@pulumi", "command", "package.json"));
  expect(sdk.pulumi).toMatchObject({ name: "command", version: commandPluginVersion() });
});

test.each([
  ["3.226.0", "3.226.0", true],
  ["3.1000.0", "3.226.0", true],
  ["3.225.9", "3.226.0", false],
  ["v4.0.0", "3.226.0", true],
  ["1.21", "1.21", true],
  ["1.19.8", "1.21", false],
  ["1.25.11", "1.25.2", true],
])("%s at least %s: %s", (a, b, expected) => {
  expect(atLeast(a, b)).toBe(expected);
});
