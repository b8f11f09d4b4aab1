import fc from "fast-check";
import { expect, test } from "vitest";
import { rotationOf } from "../../config/rotation.ts";

const day = 24 * 60 * 60 * 1000;

test("without more, it is the setting itself", () => {
  expect(rotationOf({ rotation: "1" })).toBe("1");
});

test("a machine's own setting is its own", () => {
  expect(rotationOf({ rotation: "1", own: "b" })).toBe("1, own b");
});

test("a period begins at multiples of its length since the epoch", () => {
  const of = (now: number) => rotationOf({ rotation: "1", rotateEvery: "90d" }, now);
  expect(of(90 * day - 1)).toBe("1, 90d 0");
  expect(of(90 * day)).toBe("1, 90d 1");
});

test("two times are in one period, or their rotations differ", () => {
  const time = fc.integer({ min: 0, max: 40_000 * day });
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 1000 }), time, time, (days, a, b) => {
      const of = (now: number) => rotationOf({ rotation: "1", rotateEvery: `${days}d` }, now);
      const same = Math.floor(a / (days * day)) === Math.floor(b / (days * day));
      expect(of(a) === of(b)).toBe(same);
    }),
  );
});
