import { expect, test } from "vitest";
import { age } from "../../cli/age.ts";
import { size } from "../../cli/size.ts";

test.each([
  [-5_000, "0 seconds"],
  [1_000, "1 second"],
  [119_000, "1 minute"],
  [7_200_000, "2 hours"],
  [86_400_000 * 40, "40 days"],
])("%d ms is %s", (milliseconds, words) => {
  expect(age(milliseconds)).toBe(words);
});

test.each([
  [0, "0 B"],
  [1023, "1023 B"],
  [1536, "1.5 KiB"],
  [200 * 2 ** 20, "200 MiB"],
  [2 ** 50, "1024 TiB"],
])("%d bytes are %s", (bytes, words) => {
  expect(size(bytes)).toBe(words);
});
