import { quoted } from "./quoted.ts";

/** One word of a POSIX shell or of fish, whatever is in it: as it is where that needs no quotes. */
export function shellWord(text: string): string {
  return /^[A-Za-z0-9_.-]+$/.test(text) ? text : quoted(text);
}
