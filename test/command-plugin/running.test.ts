import { describe, expect, test } from "vitest";
import { connection, connects, leave, stackOf, traced } from "./contract.ts";
import { freePort } from "./sshd.ts";

describe("running", () => {
  test("one line end is cut off what it printed; no pty; the login shell runs it", async () => {
    const stack = stackOf({ create: "tty; echo $0; echo; echo >&2" });
    await stack.run("up");
    const outputs = (await stack.resource("a"))?.outputs;
    expect(outputs).toMatchObject({ stdout: "not a tty\nbash\n", stderr: "" });
  });

  test("no create: nothing runs, both outputs are empty", async () => {
    const stack = stackOf({ connection: connection({ port: await freePort() }) });
    expect((await stack.run("up")).error).toBe("");
    expect((await stack.resource("a"))?.outputs).toMatchObject({ stdout: "", stderr: "" });
  });

  test("stdin of a megabyte arrives whole", async () => {
    const stack = stackOf({ create: "wc -c", stdin: "x".repeat(2 ** 20) });
    await stack.run("up");
    expect((await stack.resource("a"))?.outputs.stdout).toBe("1048576");
  });

  test("a message of failure holds the command and all output, even with no logging", async () => {
    const create = `echo "out é"; exit 3 #\t'\\`;
    const { messages } = await stackOf({ create, logging: "none" }).run("up");
    const quoted = '"echo \\"out é\\"; exit 3 #\\t\'\\\\"';
    expect(messages).toEqual([`error!: Process exited with status 3: running ${quoted}:\nout é`]);
  });

  test("a signal, and a connection that breaks", async () => {
    const { messages } = await stackOf({ create: "kill -TERM $$" }).run("up");
    const signal = 'Process exited with status 143 from signal TERM: running "kill -TERM $$":';
    expect(messages).toEqual([`error!: ${signal}`]);
    const broken = await stackOf({ create: "kill -KILL $PPID" }).run("up");
    const missing = "wait: remote command exited without exit status or exit signal";
    expect(broken.messages).toEqual([`error!: ${missing}: running "kill -KILL $PPID":`]);
  });

  test("a command of 128 KiB is too long for the kernel", async () => {
    const { messages } = await stackOf({ create: `true ${"x".repeat(2 ** 17)}` }).run("up");
    expect(messages.at(-1)).toContain("Argument list too long");
  });

  test.each([
    ["stdout", ["info: last", "info: out"]],
    ["stderr", ["info: err"]],
    ["stdoutAndStderr", ["info: err", "info: last", "info: out"]],
    ["none", []],
  ] as const)("logging %s", async (logging, lines) => {
    const create = "echo out; echo err >&2; echo last";
    const { messages } = await stackOf({ create, logging }).run("up");
    expect(messages.sort()).toEqual(lines);
  });
});

describe("environment", () => {
  test("goes by setenv", async () => {
    const stack = stackOf({ create: "echo $GREETING", environment: { GREETING: "hello" } });
    await stack.run("up");
    expect((await stack.resource("a"))?.outputs.stdout).toBe("hello");
  });

  test("that the server refuses is an error, and the command does not run", async () => {
    const { messages } = await stackOf({
      create: leave("ran"),
      environment: { OTHER: "x" },
    }).run("up");
    expect(messages).toEqual([
      `error!: ${refusal("OTHER")}`,
      'error!: could not set environment variable "OTHER": ssh: setenv failed',
    ]);
    expect(traced()).toEqual([]);
  });

  test("addPreviousOutputInEnv is on by default and only warns", async () => {
    const stack = stackOf({ create: "echo 1; echo 2 >&2", logging: "none" });
    delete stack.commands.a?.addPreviousOutputInEnv;
    expect((await stack.run("up")).messages).toEqual([]);
    Object.assign(stack.commands.a as object, { stdin: "x" });
    const { error, messages } = await stack.run("up");
    expect(error).toBe("");
    expect(messages).toEqual([
      `warning!: ${refusal("PULUMI_COMMAND_STDOUT")}`,
      `warning!: ${refusal("PULUMI_COMMAND_STDERR")}`,
    ]);
  });
});

function refusal(name: string): string {
  return [
    `Unable to set '${name}'. This only works if your SSH server is configured to accept`,
    "\tthese variables via AcceptEnv. Alternatively, if a Bash-like shell runs the command on the remote host, you could",
    "\tprefix the command itself with the variables in the form 'VAR=value command'",
  ].join("\n");
}

describe("inputs that are wrong", () => {
  test.each([
    [{ colour: "red" }, "Unrecognized field 'colour' on 'remote.Connection'"],
    [{ host: undefined }, "Missing required field 'host' on 'remote.Connection'"],
    [
      { port: "ssh" },
      "Field 'port' on 'remote.Connection' must be a 'float64'; got 'string' instead",
    ],
  ])("connection %j", async (change, message) => {
    expect((await connects(change as never)).join()).toContain(message);
  });

  test("a command that is no text", async () => {
    expect((await stackOf({ create: 3 as never }).run("up")).messages).toEqual([
      "error!: command:remote:Command resource 'a': property create value {3} has a problem: Field 'create' on 'remote.CommandInputs' must be a 'string'; got 'float64' instead",
    ]);
  });
});
