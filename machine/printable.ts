/** As much as a person reads of one machine. */
const most = { lines: 200, characters: 400 };

/**
 * Lines that a machine printed for a person, without what would act on their terminal or turn its words around: control and
 * format characters, line separators, and what has no meaning of its own. At most 200 lines of 400 characters.
 */
export function printable(text: string): string[] {
  const lines = text.trimEnd().split("\n");
  const shown = lines.slice(0, most.lines).map((line) => {
    const plain = line.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, (character) =>
      character === "\t" ? "\t" : "",
    );
    const characters = [...plain];
    return characters.length <= most.characters
      ? plain
      : `${characters.slice(0, most.characters - 1).join("")}…`;
  });
  const more = lines.length - shown.length;
  return more > 0 ? [...shown, `… and ${more} more lines`] : shown;
}
