import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Analyzer } from "@pulumi/pulumi/provider/experimental/analyzer.js";
import { generateSchema } from "@pulumi/pulumi/provider/experimental/schema.js";
import { checkout } from "./checkout.ts";

const name = "nixos-cache";

/** The text of schema.json: what Pulumi's own analyzer of components makes of NixosCache, for programs in other languages. */
export async function componentSchema(): Promise<string> {
  const { version, description } = JSON.parse(
    await readFile(join(checkout, "package.json"), "utf8"),
  );
  const entry = { name, exports: "./components/nixos-cache.ts" };
  const analyzer = new Analyzer(checkout, name, entry, new Set(["NixosCache"]));
  const { components, typeDefinitions, dependencies } = analyzer.analyze();
  // The analyzer has no word for it. With it the SDKs make a secret of what was given as text.
  for (const input of ["privateKey", "privateKeyPassword"]) {
    Object.assign(components.NixosCache?.inputs[input] ?? {}, { secret: true });
  }
  const schema = generateSchema(
    name,
    version,
    description,
    components,
    typeDefinitions,
    dependencies,
  );
  return `${JSON.stringify(schema, null, 2)}\n`;
}
