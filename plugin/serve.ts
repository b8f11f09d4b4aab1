import * as pulumi from "@pulumi/pulumi";
import { NixosCache } from "../components/nixos-cache.ts";
import type { NixosCacheArgs } from "../components/nixos-cache-args.ts";

const type = "nixos-cache:index:NixosCache";

/**
 * Serves the component NixosCache to Pulumi's engine, for programs in other languages.
 * @param schema the text of schema.json. It comes from a file, so that whoever uses it needs neither TypeScript nor our sources.
 */
export async function serve(schema: string): Promise<void> {
  const { version }: { version: string } = JSON.parse(schema);
  await pulumi.provider.main(
    {
      version,
      schema,
      async construct(name, wanted, inputs, options) {
        if (wanted !== type) throw new Error(`there is no component ${wanted}: write ${type}`);
        for (const login of ["privateKey", "privateKeyPassword"]) {
          // A secret comes as an Output. What is none, the engine would keep in the state as it is.
          if (inputs[login] !== undefined && !pulumi.Output.isInstance(inputs[login])) {
            // In plain words: of an error about a property the engine prints the value.
            throw new Error(
              `${name}: ${login} is not secret: write it as a secret of the stack's configuration`,
            );
          }
        }
        // Its constructor checks the others.
        const cache = new NixosCache(name, inputs as unknown as NixosCacheArgs, options);
        const { servers, clients, settings } = cache;
        return { urn: cache.urn, state: { servers, clients, settings } };
      },
    },
    process.argv.slice(2),
  );
}
