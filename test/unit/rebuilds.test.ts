import { expect, test } from "vitest";
import { rebuildsInWords } from "../../components/rebuilds.ts";

test.each<[string, [string, boolean | undefined][]]>([
  ["The update would rebuild no machine.", [["kalaw", false]]],
  [
    "The update would rebuild kalaw.",
    [
      ["kalaw", true],
      ["pai", false],
    ],
  ],
  [
    "The update would rebuild kalaw, pai and inle.",
    [
      ["kalaw", true],
      ["pai", true],
      ["inle", true],
      ["kalaw", false],
    ],
  ],
  [
    "The update would rebuild kalaw; of pai that is not known.",
    [
      ["kalaw", true],
      ["pai", undefined],
      ["kalaw", undefined],
    ],
  ],
])("%s", (words, answers) => expect(rebuildsInWords(answers)).toBe(words));
