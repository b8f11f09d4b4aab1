// Where Pulumi starts this package as a plugin, for programs in other languages (PulumiPlugin.yaml; it takes the `main` of
// package.json). A program in TypeScript or JavaScript imports the package by its `exports` instead.
//
// CommonJS, for Pulumi requires it; its ts-node cannot load our sources, but Node can import them.
const { existsSync, readFileSync } = require("node:fs");
const { join } = require("node:path");

const source = join(__dirname, "plugin", "serve.ts");
const built = join(__dirname, "dist", "plugin", "serve.js");

module.exports = async () => {
  const isClone = existsSync(source);
  if (isClone && !process.features.typescript) {
    throw new Error(
      `This plugin needs Node 22.18 or newer, and the node on PATH is ${process.version}: install a newer one.`,
    );
  }
  const { serve } = await import(isClone ? source : built);
  await serve(readFileSync(join(__dirname, "schema.json"), "utf8"));
};
