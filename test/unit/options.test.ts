import { execFileSync } from "node:child_process";
import fc from "fast-check";
import { expect, test } from "vitest";
import { type MachineOptions, optionWords, reasonWords } from "../../machine/options.ts";
import { quoted } from "../../machine/quoted.ts";
import { shellWord } from "../../machine/shell-word.ts";

test("an option that was left out, or is its default, is no word", () => {
  expect(optionWords({})).toBe("");
  expect(optionWords({ rebuild: {} })).toBe("");
  expect(optionWords({ confirmWithin: 60, onlyOurs: false, takeOver: false })).toBe("");
});

test.each<[MachineOptions, string]>([
  [{ rebuild: { by: "owner" } }, "--by owner"],
  [{ rebuild: { by: "pulumi" } }, "--by pulumi"],
  [{ rebuild: { from: "channel" } }, "--from channel"],
  [{ rebuild: { from: "flake", attribute: "pai" } }, "--from flake --attribute 'pai'"],
  [{ confirmWithin: 90 }, "--confirm-within 90"],
  [{ onlyOurs: true }, "--only-ours"],
  [{ takeOver: true }, "--take-over"],
])("%j", (options, words) => {
  expect(optionWords(options)).toBe(words);
});

/** What a shell makes of the words. */
const inShell = (words: string) =>
  execFileSync("sh", ["-c", `printf '%s\\n' ${words}`], { encoding: "utf8" })
    .split("\n")
    .slice(0, -1);

test("no option is more than one word for the shell, whatever is in it", () => {
  fc.assert(
    fc.property(fc.string({ minLength: 1 }).filter(isText), (text) => {
      const rebuild = { by: text as never, from: text as never };
      expect(inShell(optionWords({ rebuild, confirmWithin: text as never }))).toEqual(
        inShell(`--by ${quoted(text)} --from ${quoted(text)} --confirm-within ${quoted(text)}`),
      );
      expect(inShell(shellWord(text))).toEqual(inShell(quoted(text)));
    }),
    { numRuns: 50 },
  );
  // No shell takes this one for a character.
  function isText(text: string): boolean {
    return !text.includes("\0");
  }
});

test('the text "false" is not true', () => {
  expect(optionWords({ onlyOurs: "false" as never, takeOver: "false" as never })).toBe("");
});

test("an attribute is one word for the shell, whatever is in it", () => {
  const attribute = 'it\'s $(id) "a" `b` \\ *';
  expect(inShell(optionWords({ rebuild: { attribute } }))).toEqual(["--attribute", attribute]);
});

test("so is a reason, in plain words", () => {
  const reason = "nix.conf was edited: 'it's' $(id) `id` (2026-11-23T00:40:12Z)";
  expect(inShell(reasonWords(reason))).toEqual([
    "--because",
    "nix.conf was edited: its (id) id (2026-11-23T00:40:12Z)",
  ]);
  expect(inShell(reasonWords("x".repeat(1000)))[1]).toHaveLength(400);
});
