import * as pulumi from "@pulumi/pulumi";
import { beforeAll, expect, test } from "vitest";
import { canHaveToAnswer, hasToAnswer } from "../../components/has-to-answer.ts";
import { generateSshKeypair } from "../../keys/ssh-key.ts";
import { listener } from "../command-plugin/listener.ts";

// As under a language host that knows no hooks: none can be registered, and each is called by the test itself.
beforeAll(() =>
  pulumi.runtime.setMocks({
    newResource: ({ inputs }) => ({ id: "", state: inputs }),
    call: () => ({}),
  }),
);

const hostKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINFeRaPGyeUfO/zbdjrsARlJWOwFOy38RuyB7a/r1WIP";

function hookOf(port: number): () => Promise<void> {
  const { privateKey } = generateSshKeypair("operator");
  const connection = { host: "127.0.0.1", port: pulumi.output(port), hostKey, privateKey };
  const { beforeCreate = [], beforeUpdate, ...others } = hasToAnswer("pai", connection);
  expect(beforeUpdate).toEqual(beforeCreate);
  // With one before deletes, `destroy` needs --run-program.
  expect(others).toEqual({});
  const [hook] = beforeCreate as pulumi.ResourceHook[];
  Reflect.get(hook ?? {}, "__registered").catch(() => undefined);
  return async () => hook?.callback({} as pulumi.ResourceHookArgs);
}

test.each([
  ["nothing", ""],
  ["its version alone", "SSH-2.0-x\r\n"],
])(
  "a machine that accepts a connection and says %s: its steps fail, after one attempt",
  async (_, says) => {
    let connections = 0;
    const port = await listener((socket) => {
      connections++;
      socket.write(says);
    });
    const hook = hookOf(port);
    const start = performance.now();
    for (const step of [hook(), hook()]) {
      await expect(step).rejects.toThrow(
        `pai: nothing was done there: 127.0.0.1 port ${port} did not answer in time`,
      );
    }
    expect(performance.now() - start).toBeLessThan(9_000);
    expect(connections).toBe(1);
  },
  20_000,
);

test("without hooks there are none", async () => {
  expect(await canHaveToAnswer()).toBe(false);
});
