import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { expect, test } from "vitest";
import { checkout } from "../../dev/tools/checkout.ts";
import { schemaServedBy } from "./served-schema.ts";
import { useUserProjects } from "./user-project.ts";

const projects = useUserProjects("tarball");

const program = `
const server = new CacheServer("kalaw", {
  connection: { host: "kalaw.lan", hostKey: "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINFeRaPGyeUfO/zbdjrsARlJWOwFOy38RuyB7a/r1WIP" },
});
new CacheClient("pai", {
  connection: { host: "pai.lan", hostKey: "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDtlVd4wkYYnwPmlnRHqbZ8F3J5ohlL7bRSFh4tpZTmG" },
  server,
});
`;

test("the tarball is small and has what runs, and nothing else", async () => {
  expect((await stat(projects().tarball)).size).toBeLessThan(200_000);
  const { stdout } = await execa("tar", ["-tf", projects().tarball]);
  const files = stdout.split("\n").map((file) => file.replace(/^package\//, ""));
  const odd = files.filter(
    (file) =>
      !/^dist\/((components|config|keys|machine|plugin|cli(\/\w+)?)\/)?[\w-]+\.(js|js\.map|d\.ts)$/.test(
        file,
      ) &&
      !/^dist\/((machine\/helper|cli\/questions)\/[\w-]+\.sh|nixos\/[\w-]+\.(nix|py))$/.test(file),
  );
  expect(odd.sort()).toEqual([
    "LICENSE",
    "PulumiPlugin.yaml",
    "README.md",
    "dist/Pulumi.yaml",
    "package.json",
    "plugin.cjs",
    "schema.json",
  ]);
});

test("the helper, the module and the command's questions are those of the checkout", async () => {
  const dist = join(projects().folder, "node_modules/pulumi-nixos-cache/dist");
  for (const folder of ["machine/helper", "nixos", "cli/questions"]) {
    await execa("diff", ["-r", join(checkout, folder), join(dist, folder)]);
  }
});

test("a user's node_modules is small, without our tools and the bundled Node", async () => {
  const modules = join(projects().folder, "node_modules");
  const { stdout } = await execa("du", ["--summarize", "--bytes", modules]);
  expect(Number.parseInt(stdout, 10)).toBeLessThan(150e6);
  const names = await readdir(modules);
  expect(
    names.filter((name) => /^(node-linux|vite|esbuild|@biomejs|fast-check)/.test(name)),
  ).toEqual([]);
});

test("source maps lead to the sources", async () => {
  const file = "node_modules/pulumi-nixos-cache/dist/components/cache-server.js.map";
  const map = JSON.parse(await readFile(join(projects().folder, file), "utf8"));
  const source = await readFile(join(checkout, "components/cache-server.ts"), "utf8");
  expect(map.sourcesContent).toEqual([source]);
});

const imports = `import { CacheClient, CacheServer } from "pulumi-nixos-cache";`;
const requires = `const { CacheClient, CacheServer } = require("pulumi-nixos-cache");`;
const withoutTypes = `name: home
runtime: { name: nodejs, options: { typescript: false } }
`;

test("under `pulumi new typescript` it type-checks, libraries too", async () => {
  const project = await projects().make("types", {
    "index.ts": `${imports}${program}export const key = server.trustedPublicKey;\n`,
  });
  const { code, stdout } = await projects().run(project, ["../node_modules/.bin/tsc", "--noEmit"]);
  expect([code, stdout]).toEqual([0, ""]);
});

test.each<[string, Record<string, string>]>([
  [
    "a program of `pulumi new typescript`",
    { "index.ts": `${imports}${program}export const key = server.trustedPublicKey;\n` },
  ],
  [
    "TypeScript whose types Node strips",
    {
      "index.ts": `${imports}${program}`,
      "package.json": '{ "name": "home", "main": "index.ts", "type": "module" }',
      "Pulumi.yaml": withoutTypes,
    },
  ],
  [
    "a module in JavaScript",
    {
      "index.js": `${imports}${program}`,
      "package.json": '{ "name": "home", "main": "index.js", "type": "module" }',
      "Pulumi.yaml": withoutTypes,
    },
  ],
  [
    "JavaScript with require",
    {
      "index.js": `${requires}${program}`,
      "package.json": '{ "name": "home", "main": "index.js" }',
      "Pulumi.yaml": withoutTypes,
    },
  ],
])("works in %s", async (name, files) => {
  const project = await projects().make(name.replaceAll(/\W+/g, "-"), files);
  const { code, stdout, stderr } = await projects().preview(project);
  expect(code, stdout + stderr).toBe(0);
  expect(stdout).toMatch(/\+ 13 to create/);
});

test("it brings the command", async () => {
  const nixosCache = (argument: string) =>
    projects().run(projects().folder, ["node_modules/.bin/nixos-cache", argument], {
      PULUMI_BACKEND_URL: `file://${projects().folder}`,
    });
  const help = await nixosCache("--help");
  expect([help.code, help.stdout]).toEqual([0, expect.stringContaining("doctor")]);
  const status = await nixosCache("status");
  expect([status.code, status.stderr]).toEqual([1, expect.stringContaining("no Pulumi.yaml")]);
});

test("it is a plugin that serves NixosCache to programs in other languages", async () => {
  expect(await schemaServedBy(projects().package)).toBe(
    await readFile(join(checkout, "schema.json"), "utf8"),
  );
});

test.each(["home", "two-servers-and-a-laptop", "two-stacks/server", "two-stacks/client"])(
  "the example %s type-checks",
  async (name) => {
    const project = await projects().makeExample(name);
    const tsc = join(projects().folder, "node_modules/.bin/tsc");
    const { code, stdout } = await projects().run(project, [tsc, "--noEmit"]);
    expect([code, stdout]).toEqual([0, ""]);
  },
);
