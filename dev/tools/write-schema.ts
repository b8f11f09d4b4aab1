// `npm run schema`: writes schema.json, after a change of NixosCache's arguments or outputs.
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { checkout } from "./checkout.ts";
import { componentSchema } from "./component-schema.ts";

await writeFile(join(checkout, "schema.json"), await componentSchema());
