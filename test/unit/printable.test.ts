import fc from "fast-check";
import { expect, test } from "vitest";
import { printable } from "../../machine/printable.ts";

test("what a machine says in words and numbers stays as it is", () => {
  const lines = ["packages:", "\ttool: 1.0 → 2.0, +98.1 KiB", "  ∅ büro"];
  expect(printable(`${lines.join("\n")}\n\n`)).toEqual(lines);
});

test.each([
  ["\u001b[31mred\u001b]0;x\u0007", "[31mred]0;x"],
  ["safe\u202e\u2066\u200d\u2028\u2029 end", "safe end"],
  ["\ufeffa\u0085b\rc\ue000d", "abcd"],
])("%j acts on no terminal", (text, plain) => {
  expect(printable(text)).toEqual([plain]);
});

test("of any text no character acts on a terminal, and there is no more than a person reads", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 2000 }), (text) => {
      for (const line of printable(text)) {
        expect(line).not.toMatch(/[^\t\P{C}]|[\p{Zl}\p{Zp}]/u);
        expect([...line].length).toBeLessThanOrEqual(400);
      }
    }),
  );
  expect(printable("x".repeat(1000))[0]).toBe(`${"x".repeat(399)}…`);
  const many = printable("line\n".repeat(2900));
  expect(many).toHaveLength(201);
  expect(many.at(-1)).toBe("… and 2700 more lines");
});
