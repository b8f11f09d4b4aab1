// `node up.ts`: `pulumi up` of one remote.Command from the network namespace that this process is in, which a
// test cannot enter itself. The command's inputs come on stdin; prints what the plugin said, both as JSON.
import { text } from "node:stream/consumers";
import type { remote } from "@pulumi/command";
import { TestStack } from "./test-stack.ts";

const stack = new TestStack({});
try {
  stack.commands.a = JSON.parse(await text(process.stdin)) as remote.CommandArgs;
  const { error, messages } = await stack.run("up");
  // No word of the plugin: it did not even start.
  if (messages.length === 0 && error) throw new Error(error);
  process.stdout.write(JSON.stringify(messages));
} finally {
  stack.remove();
}
