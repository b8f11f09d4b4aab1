import { join } from "node:path";
import { cacheFolder } from "../dev/tools/cache-folder.ts";

/** Where Vitest remembers how long each test file took: outside the checkout, so that a new clone knows it too. */
export const vitestCache = join(cacheFolder(), "vitest");
