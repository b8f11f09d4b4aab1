import { describe, expect, test } from "vitest";
import { Answer, wholeNumber } from "../../cli/answer.ts";

describe("what a machine answers", () => {
  const answer = new Answer("free\t12\nfetched\tkalaw\t1\t2\t3\nfetched\tnuc\t4\t5\t6\nend\n");

  test("is read by kind", () => {
    expect(answer.number("free")).toBe(12);
    expect(answer.all("fetched")).toEqual([
      ["kalaw", "1", "2", "3"],
      ["nuc", "4", "5", "6"],
    ]);
    expect(answer.text("signed")).toBeUndefined();
    expect(answer.words("signed")).toBe("");
  });

  test("is shown without what acts on a terminal", () => {
    expect(new Answer("failed\t\u001b[2Jgone\u202e; $(x)\nend\n").words("failed")).toBe(
      "2Jgone (x)",
    );
  });

  test.each([
    ["cut off", "free\t12\n"],
    ["without its last newline", "free\t12\nend"],
    ["empty", ""],
  ])("is refused when it is %s", (_, text) => {
    expect(() => new Answer(text)).toThrow("its answer is not whole");
  });

  test("is refused with a line of another kind, or with too many", () => {
    expect(() => new Answer("Welcome to kalaw!\nend\n")).toThrow("none of ours: Welcome to kalaw");
    expect(() => new Answer(`${"free\t1\n".repeat(501)}end\n`)).toThrow("its answer is too long");
  });

  test.each([undefined, "", "-1", "1e9", "0x10", "1234567890123456"])("%s is no number", (text) => {
    expect(wholeNumber(text)).toBeUndefined();
  });
});
