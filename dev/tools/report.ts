/**
 * Takes one line of progress for a person. A `passing` line only matters until the next one comes;
 * {@link Progress} sends those rarely enough to be printed each.
 */
export type Report = (line: string, passing?: boolean) => void;

/** Prints lines; on a terminal a passing line is overwritten by the next one. */
export function consoleReport(stream: NodeJS.WriteStream = process.stderr): Report {
  let passingShown = false;
  return (line, passing = false) => {
    if (!stream.isTTY) {
      stream.write(`${line}\n`);
      return;
    }
    const text = passing ? line.slice(0, Math.max(20, stream.columns - 1)) : `${line}\n`;
    stream.write(`${passingShown ? "\r\x1b[2K" : ""}${text}`);
    passingShown = passing;
  };
}
