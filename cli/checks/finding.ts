/** Something that is wrong. */
export interface Finding {
  /** What is wrong, in words. */
  wrong: string;
  /** What a person can do about it. */
  todo: string;
}

/** A check has nothing to say of what is well, or of what is not known. */
export type Check<Facts> = (facts: Facts) => Finding[];

/** Everything that checks find in the same facts. */
export function findings<Facts>(checks: readonly Check<Facts>[], facts: Facts): Finding[] {
  return checks.flatMap((check) => check(facts));
}
