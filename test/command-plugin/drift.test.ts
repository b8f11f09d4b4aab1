import { expect, test } from "vitest";
import { leave, stackOf, traced } from "./contract.ts";

/** A step as components/machine.ts declares it. */
const step = (words: string, because?: string) => ({
  create: `${leave(`create-${words}`)}${because === undefined ? "" : ` # ${because}`}`,
  update: leave(`update-${words}`),
});

test("drift runs the step's update; without drift there is no change, whatever was the reason before", async () => {
  const stack = stackOf(step("1"));
  const up = async (args: object, drifted: boolean) => {
    Object.assign(stack.commands.a ?? {}, args);
    stack.options = drifted ? {} : { ignoreChanges: ["create"] };
    const { error, steps } = await stack.run("up");
    expect(error).toBe("");
    return steps;
  };
  expect(await up({}, false)).toEqual(["create a"]);
  expect(await up({}, false)).toEqual(["same a"]);
  expect(await up(step("1", "changed by hand (12:00)"), true)).toEqual(["update a"]);
  expect(await up(step("1"), false)).toEqual(["same a"]);
  expect(await up(step("1", "changed by hand (13:00)"), true)).toEqual(["update a"]);
  expect(traced()).toEqual(["create-1", "update-1", "update-1"]);

  // A later change is made by the words of its own time, not by those of the last drift; so is a replacement.
  expect(await up({ ...step("2"), stdin: "changed" }, false)).toEqual(["update a"]);
  expect(traced().at(-1)).toBe("update-2");
  const replaced = await up({ ...step("3"), triggers: ["new"] }, false);
  expect(replaced).toContain("create-replacement a");
  expect(traced().at(-1)).toBe("create-3");
});
