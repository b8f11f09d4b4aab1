import * as pulumi from "@pulumi/pulumi";
import { beforeAll, expect, test, vi } from "vitest";
import { OtherStacks } from "../../components/other-stacks.ts";

const kalaw = { name: "kalaw", address: "kalaw.lan" };
const outputs = { servers: { kalaw }, clients: { pai: { publicKeys: ["ssh-ed25519 AAAA"] } } };
let references = 0;

beforeAll(() =>
  pulumi.runtime.setMocks(
    {
      newResource: ({ name, inputs }) => {
        references++;
        return { id: name, state: { ...inputs, outputs: name === "fay/cache/new" ? {} : outputs } };
      },
      call: ({ inputs }) => inputs,
    },
    "cache",
    "desk",
    false,
    "fay",
  ),
);

test("what another stack puts out of its machines, from one reference to it", async () => {
  const stacks = new OtherStacks();
  expect(await stacks.server("fay/cache/home", "kalaw")).toEqual(kalaw);
  expect(await stacks.client("fay/cache/home", "pai")).toEqual(outputs.clients.pai);
  expect(references).toBe(1);
});

test.each(["nas", "constructor"])("a server that is not there is named: %s", async (name) => {
  await expect(new OtherStacks().server("fay/cache/home", name)).rejects.toThrow(
    `the stack fay/cache/home puts out no server ${name} yet: run \`pulumi up\` there first`,
  );
  await expect(new OtherStacks().server("fay/cache/new", name)).rejects.toThrow("no server");
});

test("a client that is not there has no keys yet, and the person is told", async () => {
  const warn = vi.spyOn(pulumi.log, "warn").mockResolvedValue();
  expect(await new OtherStacks().client("fay/cache/new", "pai")).toEqual({ publicKeys: [] });
  expect(warn.mock.lastCall?.[0]).toContain("the stack fay/cache/new puts out no client pai yet");
  warn.mockRestore();
});

test("a stack that names itself is told so", async () => {
  await expect(new OtherStacks().server("fay/cache/desk", "kalaw")).rejects.toThrow(
    "kalaw is said to be in the stack fay/cache/desk, which is this one: write it under servers",
  );
});
