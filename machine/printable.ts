/** Lines that a machine printed for a person, without what would act on their terminal. */
export function printable(text: string): string[] {
  return text
    .trimEnd()
    .split("\n")
    .map((line) => line.replace(/\p{Cc}/gu, (character) => (character === "\t" ? "\t" : "")));
}
