import { plainWords } from "../machine/plain-words.ts";

/** More lines than any honest answer has. */
const mostLines = 500;

/**
 * What a machine has answered to a question (cli/questions): lines of fields that tabs separate, the first its kind.
 *
 * A machine may answer anything. So the fields are texts to compare or to parse; what a person is shown goes
 * through `words`.
 */
export class Answer {
  readonly #lines: readonly string[][];

  /**
   * @param text the question's stdout
   * @throws Error for a text that is not whole, or no answer
   */
  constructor(text: string) {
    const lines = text.split("\n");
    if (lines.pop() !== "" || lines.pop() !== "end") throw new Error("its answer is not whole");
    if (lines.length > mostLines) throw new Error("its answer is too long");
    this.#lines = lines.map((line) => line.split("\t"));
    for (const [kind = ""] of this.#lines) {
      if (!/^[a-z-]{1,30}$/.test(kind)) {
        throw new Error(`its answer has a line that is none of ours: ${plainWords(kind)}`);
      }
    }
  }

  /** The fields of each line of that kind. */
  all(kind: string): string[][] {
    return this.#lines.flatMap(([its, ...fields]) => (its === kind ? [fields] : []));
  }

  /** The first field of the first line of that kind. */
  text(kind: string): string | undefined {
    return this.all(kind)[0]?.[0];
  }

  /** The same for a person, empty where there is none. */
  words(kind: string): string {
    return plainWords(this.text(kind) ?? "");
  }

  /** The same as a whole number from 0. */
  number(kind: string): number | undefined {
    return wholeNumber(this.text(kind));
  }
}

/** A whole number from 0, as long as a computer counts exactly; undefined for any other text. */
export function wholeNumber(text: string | undefined): number | undefined {
  return text !== undefined && /^[0-9]{1,15}$/.test(text) ? Number(text) : undefined;
}
