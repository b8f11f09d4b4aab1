import { dirname } from "node:path";

/** The folder of this checkout, absolute. */
export const checkout: string = dirname(dirname(import.meta.dirname));
