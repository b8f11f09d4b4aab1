import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { checkout } from "../../dev/tools/checkout.ts";
import { componentSchema } from "../../dev/tools/component-schema.ts";
import { schemaServedBy } from "./served-schema.ts";
import { UserProjects, useUserProjects } from "./user-project.ts";

const projects = useUserProjects("checkout");
const hostKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINFeRaPGyeUfO/zbdjrsARlJWOwFOy38RuyB7a/r1WIP";
const otherKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDtlVd4wkYYnwPmlnRHqbZ8F3J5ohlL7bRSFh4tpZTmG";

test("schema.json is what Pulumi's analyzer says of NixosCache", async () => {
  const text = await readFile(join(checkout, "schema.json"), "utf8");
  expect(text, "run: npm run schema").toBe(await componentSchema());
});

test("the checkout is a plugin that serves it", async () => {
  expect(await schemaServedBy(checkout)).toBe(
    await readFile(join(checkout, "schema.json"), "utf8"),
  );
});

/** A program that has the component constructed by the plugin, as the SDKs of other languages do. */
const remote = (args: unknown) => ({
  "index.ts": `import * as pulumi from "@pulumi/pulumi";
class NixosCache extends pulumi.ComponentResource {
  declare readonly servers: pulumi.Output<unknown>;
  declare readonly clients: pulumi.Output<unknown>;
  declare readonly settings: pulumi.Output<unknown>;
  constructor(name: string, args: object) {
    const outputs = { servers: undefined, clients: undefined, settings: undefined };
    super("nixos-cache:index:NixosCache", name, { ...outputs, ...args }, { version: "${UserProjects.version}" }, true);
  }
}
const cache = new NixosCache("home", ${JSON.stringify(args)});
export const { servers, clients, settings } = cache;
`,
});

const kalawAndPai = {
  servers: { kalaw: { connection: { host: "192.0.2.1", hostKey } } },
  clients: {
    pai: { connection: { host: "192.0.2.2", hostKey: otherKey }, servers: ["kalaw"], priority: 30 },
  },
  observe: false,
};

test("Pulumi's engine has the plugin construct the component", async () => {
  const project = await projects().make("remote", remote(kalawAndPai));
  const { code, stdout, stderr } = await projects().preview(project, { plugin: true });
  expect(code, stdout + stderr).toBe(0);
  // The 13 resources of one server and one client, and the component.
  expect(stdout).toMatch(/\+ 14 to create/);
  expect(stdout).toMatch(/NixosCache\s+home\s+create/);
  expect(stdout).toMatch(/command:remote:Command\s+pai-access-kalaw\s+create/);
});

test("wrong arguments come back by their names, before anything is declared", async () => {
  const wrong = structuredClone(kalawAndPai);
  wrong.clients.pai.servers = ["kalow"];
  const project = await projects().make("remote-wrong", remote(wrong));
  const { code, stdout } = await projects().preview(project, { plugin: true });
  expect(code).not.toBe(0);
  expect(stdout).toContain(
    'clients.pai.servers[0] names "kalow", which is no server: write one of kalaw',
  );
  expect(stdout).not.toContain("kalaw-helper");
});

test("the operator's key is refused where it is not secret, for it would stand in the state", async () => {
  const key = "of nobody";
  const project = await projects().make("remote-key", remote({ ...kalawAndPai, privateKey: key }));
  const { code, stdout, stderr } = await projects().preview(project, { plugin: true });
  expect(code).not.toBe(0);
  expect(stdout).toContain(
    "home: privateKey is not secret: write it as a secret of the stack's configuration",
  );
  expect(stdout + stderr).not.toContain(key);
});
