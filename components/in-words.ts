/** `a`, `a and b`, `a, b and c`; nothing of an empty list. */
export function inWords(names: readonly string[]): string {
  return new Intl.ListFormat("en-GB", { type: "conjunction" }).format(names);
}
