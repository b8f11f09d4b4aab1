import Table from "cli-table3";

/** Characters that the widest column has at least, however narrow the terminal is. */
const narrowest = 20;

/**
 * A table for a terminal. One column is folded at words, so that all fits.
 * @param widest number of that column
 * @param width of the terminal, in characters
 */
export function table(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  widest: number,
  width = process.stdout.columns || 120,
): string {
  const natural = head.map((title, column) =>
    Math.max(
      ...[title, ...rows.map((row) => row[column] ?? "")].flatMap((cell) =>
        cell.split("\n").map((line) => line.length),
      ),
    ),
  );
  // Each column has a line and two spaces beside it, and the last a line more.
  const others = natural.reduce((sum, each, column) => sum + (column === widest ? 0 : each + 3), 4);
  const room = Math.max(narrowest, Math.min(natural[widest] ?? 0, width - others));
  const made = new Table({
    head: [...head],
    colWidths: natural.map((each, column) => (column === widest ? room : each) + 2),
    wordWrap: true,
    style: { head: [], border: [] },
  });
  made.push(...rows.map((row) => [...row]));
  return made.toString();
}
