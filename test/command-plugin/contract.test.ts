import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { join } from "node:path";
import type { remote, types } from "@pulumi/command";
import { type Output, secret } from "@pulumi/pulumi";
import { execa } from "execa";
import { afterAll, afterEach, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { toolchain } from "../../tools/toolchain.ts";
import { freePort, password, Sshd } from "./sshd.ts";
import { TestStack } from "./test-stack.ts";

// Runs against our stand-in; NIXOS_CACHE_COMMAND_PLUGIN=<folder> runs it against the official plugin in it.

const sshd = new Sshd();
let env: Record<string, string> = {};
const trace = join(sshd.folder, "trace");

beforeAll(async () => {
  ({ env } = await toolchain(() => undefined));
  process.env.PATH = env.PATH;
  await sshd.start();
});
afterAll(() => sshd.stop());
afterEach(() => rmSync(trace, { force: true }));

type Connection = types.input.remote.ConnectionArgs;

function connection(changes: Partial<Connection> = {}): Connection {
  return {
    host: "127.0.0.1",
    port: sshd.port,
    privateKey: sshd.privateKey("operator"),
    hostKey: sshd.publicKey("host-ed25519"),
    dialErrorLimit: 0,
    ...changes,
  };
}

/** A stack with one command "a". */
function stackOf(args: Partial<remote.CommandArgs>, more: Record<string, string> = {}): TestStack {
  const stack = new TestStack({ ...env, ...more });
  onTestFinished(() => stack.remove());
  stack.commands.a = { connection: connection(), addPreviousOutputInEnv: false, ...args };
  return stack;
}

/** A command that leaves a word where {@link traced} finds it. */
const leave = (word: string) => `echo ${word} >> ${trace}`;
const traced = () => (existsSync(trace) ? readFileSync(trace, "utf8").trim().split("\n") : []);

/** What the plugin says while it connects for one command; nothing when that went well. */
async function connects(changes: Partial<Connection>, more: Record<string, string> = {}) {
  const args = { connection: connection(changes), create: "echo in", logging: "none" } as const;
  const stack = stackOf(args, more);
  const { error, messages } = await stack.run("up");
  if (!error) expect((await stack.resource("a"))?.outputs.stdout).toBe("in");
  // No word of the plugin in a failed run: it did not even start.
  else if (!messages.some((said) => said.startsWith("error"))) throw new Error(error);
  return messages;
}

const failed = (message: string) => [`error!: after 0 failed attempts: ${message}`];

describe("life cycle", () => {
  test("create, nothing to do, update, refresh, delete", async () => {
    const stack = stackOf({
      create: leave("create"),
      update: leave("update"),
      delete: leave("delete"),
    });
    expect((await stack.run("up")).steps).toEqual(["create a"]);
    expect((await stack.resource("a"))?.id).toMatch(/^a[0-9a-f]{8}$/);
    expect((await stack.run("up")).steps).toEqual(["same a"]);
    stack.commands.a = { ...stack.commands.a, stdin: "x" } as remote.CommandArgs;
    expect((await stack.run("up")).steps).toEqual(["update a"]);
    expect((await stack.run("refresh")).error).toBe("");
    expect((await stack.run("destroy")).steps).toEqual(["delete a"]);
    expect(traced()).toEqual(["create", "update", "delete"]);
  });

  test("any changed input runs `create` again where `update` is not set", async () => {
    const args = { create: leave("create") };
    const stack = stackOf(args);
    await stack.run("up");
    const changes: Partial<remote.CommandArgs>[] = [
      { delete: "true" },
      { logging: "none" },
      { connection: connection({ perDialTimeout: 7 }) },
      { addPreviousOutputInEnv: true },
      { environment: { GREETING: "hello" } },
    ];
    for (const change of changes) {
      Object.assign(stack.commands.a as object, change);
      expect((await stack.run("up")).steps).toEqual(["update a"]);
    }
    expect(traced()).toEqual(Array(6).fill("create"));
  });

  test("changed triggers replace: create first, then the old delete with the old inputs", async () => {
    const stack = stackOf({ create: leave("create-1"), update: leave("no"), triggers: [1] });
    Object.assign(stack.commands.a as object, { delete: `cat >> ${trace}`, stdin: "old\n" });
    await stack.run("up");
    const next = { create: leave("create-2"), triggers: [2], delete: leave("new"), stdin: "new\n" };
    Object.assign(stack.commands.a as object, next);
    expect((await stack.run("up")).steps).toEqual([
      "create-replacement a",
      "replace a",
      "delete-replaced a",
    ]);
    expect(traced()).toEqual(["create-1", "create-2", "old"]);
  });

  test("triggers that appear replace too", async () => {
    const stack = stackOf({ create: "true", update: leave("no") });
    await stack.run("up");
    Object.assign(stack.commands.a as object, { triggers: ["x"] });
    expect((await stack.run("up")).steps[0]).toBe("create-replacement a");
    expect(traced()).toEqual([]);
  });

  test("a failed create is not in the state and is never deleted", async () => {
    const stack = stackOf({ create: "exit 3", delete: leave("delete") });
    await stack.run("up");
    expect(await stack.resource("a")).toBeUndefined();
    await stack.run("destroy");
    expect(traced()).toEqual([]);
  });

  test("a failed update leaves the old inputs, and the old delete", async () => {
    const stack = stackOf({ create: "echo 1", delete: leave("old") });
    await stack.run("up");
    Object.assign(stack.commands.a as object, { update: "exit 3", delete: leave("new") });
    expect((await stack.run("up")).error).not.toBe("");
    const inputs = (await stack.resource("a"))?.inputs;
    expect(inputs).toMatchObject({ create: "echo 1", delete: leave("old") });
    expect(inputs).not.toHaveProperty("update");
    await stack.run("destroy");
    expect(traced()).toEqual(["old"]);
  });

  test("a host that is gone makes destroy fail", async () => {
    const port = await freePort();
    const stack = stackOf({ connection: connection({ port }), delete: "true" });
    expect((await stack.run("up")).error).toBe("");
    expect((await stack.run("destroy")).messages).toEqual(
      failed(`dial tcp 127.0.0.1:${port}: connect: connection refused`),
    );
  });
});

describe("preview", () => {
  test("never connects, and does not know the outputs", async () => {
    const port = await freePort();
    const stack = stackOf({ connection: connection({ port }), create: "true" });
    stack.commands.b = { ...(stack.commands.a as remote.CommandArgs) };
    stack.derive = ({ a }) => (a ? { stdin: a.stdout, create: a.create as Output<string> } : {});
    const { error, text } = await stack.run("preview");
    expect(error).toBe("");
    expect(text).toMatch(/stdin +: \[unknown\]/);
    expect(text).toMatch(/create +: "true"/);
  });

  test("shows a changed JSON stdin by its parts", async () => {
    const stack = stackOf({ create: "cat", stdin: '{"port":22,"clients":{}}' });
    await stack.run("up");
    Object.assign(stack.commands.a as object, { stdin: '{"port":22,"clients":{"pai":"key"}}' });
    const { text } = await stack.run("preview");
    expect(text.replace(/\s+/g, " ")).toContain(
      '~ stdin: (json) { ~ clients: { + pai: "key" } port : 22 }',
    );
  });
});

describe("state", () => {
  test("keeps secrets secret, and fills in the defaults of a connection", async () => {
    const hidden = "planted-secret-in-stdin";
    const stack = stackOf({ create: "wc -c; echo warned >&2", stdin: secret(hidden) });
    const { text } = await stack.run("up");
    const state = stack.state();
    for (const leak of [hidden, sshd.privateKey("operator").split("\n")[1] ?? ""]) {
      expect(state).not.toContain(leak);
      expect(text).not.toContain(leak);
    }
    const resource = await stack.resource("a");
    for (const { connection, stdin, ...others } of [resource?.inputs, resource?.outputs] as {
      connection: { plaintext: string };
      stdin: { plaintext: string };
    }[]) {
      expect(JSON.parse(connection.plaintext)).toMatchObject({
        user: "root",
        perDialTimeout: 15,
        privateKey: { plaintext: JSON.stringify(sshd.privateKey("operator")) },
      });
      expect(stdin.plaintext).toBe(JSON.stringify(hidden));
      expect(others).toMatchObject({ create: "wc -c; echo warned >&2" });
    }
    // Not secret by themselves, even where stdin is.
    expect(resource?.outputs).toMatchObject({ stdout: "23", stderr: "warned" });
    Object.assign(stack.commands.a as object, { stdin: secret(`${hidden}-2`) });
    await stack.run("up");
    expect(stack.state()).not.toContain(hidden);
  });
});

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

describe("login", () => {
  test.each([
    ["operator", {}],
    ["operator-ecdsa", {}],
    ["operator-locked", { privateKeyPassword: "correct horse" }],
  ])("by private key: %s", async (name, more) => {
    expect(await connects({ privateKey: sshd.privateKey(name), ...more })).toEqual([]);
  });

  test("by password, alone or after a private key that is not known", async () => {
    expect(await connects({ privateKey: undefined as never, password })).toEqual([]);
    expect(await connects({ privateKey: sshd.privateKey("stranger"), password })).toEqual([]);
  });

  test.each([
    ["operator-locked", {}, "ssh: this private key is passphrase protected"],
    ["operator-locked", { privateKeyPassword: "x" }, "x509: decryption password incorrect"],
    ["operator.pub", {}, "ssh: no key found"],
  ])("a private key that cannot be read fails at once: %s %j", async (name, more, message) => {
    expect(await connects({ privateKey: sshd.privateKey(name), ...more })).toEqual([
      `error!: ${message}`,
    ]);
  });

  test("by agent, from its path or SSH_AUTH_SOCK; never where a private key is set", async () => {
    const socket = await agent("operator");
    const none = { privateKey: undefined as never };
    expect(await connects({ ...none, agentSocketPath: socket })).toEqual([]);
    expect(await connects(none, { SSH_AUTH_SOCK: socket })).toEqual([]);
    const stranger = { privateKey: sshd.privateKey("stranger"), agentSocketPath: socket };
    expect(await connects(stranger)).toEqual(failed(unauthenticated("none publickey")));
  });

  test("a dead SSH_AUTH_SOCK fails every connection", async () => {
    const socket = join(sshd.folder, "no-agent");
    expect(await connects({}, { SSH_AUTH_SOCK: socket })).toEqual([
      `error!: dial unix ${socket}: connect: no such file or directory`,
    ]);
  });

  test("methods that were tried are in the message", async () => {
    expect(await connects({ privateKey: undefined as never })).toEqual(
      failed(unauthenticated("none")),
    );
    const wrong = { privateKey: sshd.privateKey("stranger"), password: "wrong" };
    expect(await connects(wrong)).toEqual(failed(unauthenticated("none publickey password")));
  });
});

function unauthenticated(methods: string): string {
  return `ssh: handshake failed: ssh: unable to authenticate, attempted methods [${methods}], no supported methods remain`;
}

async function agent(key: string): Promise<string> {
  const socket = join(sshd.folder, "agent");
  const daemon = spawn("ssh-agent", ["-D", "-a", socket], { stdio: ["ignore", "pipe", "ignore"] });
  onTestFinished(async () => {
    daemon.kill();
    await once(daemon, "exit");
  });
  await once(daemon.stdout, "data");
  await execa("ssh-add", [join(sshd.folder, key)], { env: { SSH_AUTH_SOCK: socket } });
  return socket;
}

describe("host key", () => {
  test.each(["host-ed25519", "host-ecdsa"])("%s, also after a host name", async (name) => {
    const hostKey = sshd.publicKey(name);
    expect(await connects({ hostKey })).toEqual([]);
    expect(await connects({ hostKey: `kalaw ${hostKey}` })).toEqual([]);
  });

  test("unset: no verification at all", async () => {
    expect(await connects({ hostKey: undefined as never })).toEqual([]);
  });

  test("of another host", async () => {
    expect(await connects({ hostKey: sshd.publicKey("stranger") })).toEqual(
      failed("ssh: handshake failed: ssh: host key mismatch"),
    );
  });

  test("of RSA never matches", async () => {
    const offered = "ssh-ed25519 ecdsa-sha2-nistp256 rsa-sha2-512 rsa-sha2-256";
    const [message] = await connects({ hostKey: sshd.publicKey("host-rsa") });
    expect(
      [...(message ?? "").matchAll(/\[(.*?)\]/g)].map((match) => match[1]?.split(" ").sort()),
    ).toEqual([["ssh-rsa"], offered.split(" ").sort()]);
    expect(message).toMatch(
      /^error!: after 0 failed attempts: ssh: handshake failed: ssh: no common algorithm for host key; we offered: /,
    );
  });

  test("that is none fails at once", async () => {
    expect(await connects({ hostKey: "rubbish" })).toEqual([
      "error!: failed to parse host key: ssh: no key found",
    ]);
  });
});

describe("dialling", () => {
  test("11 dials for a limit of 10, backing off from 0.1 s by half to 5 s", async () => {
    const attempts: number[] = [];
    const port = await listener((socket) => {
      attempts.push(performance.now());
      socket.destroy();
    });
    const messages = await connects({ port, dialErrorLimit: 10 });
    expect(messages.slice(0, -1)).toEqual(
      Array.from({ length: 10 }, (_, index) => `info: Dial ${index + 1}/10 failed: retrying`),
    );
    expect(messages.at(-1)).toMatch(/^error!: after 10 failed attempts: ssh: handshake failed: /);
    expect(attempts).toHaveLength(11);
    attempts.slice(1).forEach((at, index) => {
      const waited = at - (attempts[index] ?? 0);
      const expected = Math.min(100 * 1.5 ** index, 5000);
      expect(waited).toBeGreaterThan(expected - 20);
      expect(waited).toBeLessThan(expected + 1000);
    });
  });

  test("login and host-key failures are retried too", async () => {
    for (const wrong of [
      { privateKey: sshd.privateKey("stranger") },
      { hostKey: sshd.publicKey("stranger") },
    ]) {
      const messages = await connects({ ...wrong, dialErrorLimit: 1 });
      expect(messages[0]).toBe("info: Dial 1/1 failed: retrying");
      expect(messages[1]).toMatch(/^error!: after 1 failed attempts: ssh: handshake failed: /);
    }
  });

  test("without a limit it goes on until the host is there", async () => {
    let refused = 3;
    const port = await listener((socket) => {
      if (refused-- > 0) socket.destroy();
      else socket.pipe(connect(sshd.port, "127.0.0.1")).pipe(socket);
    });
    expect(await connects({ port, dialErrorLimit: -1 })).toEqual([
      "info: Dial 1/inf failed: retrying",
      "info: Dial 2/inf failed: retrying",
      "info: Dial 3/inf failed: retrying",
    ]);
  });

  test("customTimeouts end the retries", async () => {
    const port = await freePort();
    const timed = stackOf({ connection: connection({ port, dialErrorLimit: -1 }), create: "true" });
    timed.options = { customTimeouts: { create: "1s" } };
    expect((await timed.run("up")).messages.at(-1)).toBe("error!: context deadline exceeded");
  });

  test("cancelling ends the retries", async () => {
    const cancel = new AbortController();
    const port = await listener((socket) => {
      socket.destroy();
      cancel.abort();
    });
    const stack = stackOf({ connection: connection({ port, dialErrorLimit: -1 }), create: "true" });
    expect((await stack.run("up", cancel.signal)).messages.at(-1)).toBe("error!: context canceled");
  });

  test("over a proxy, one hop", async () => {
    const port = await freePort();
    const proxy = connection();
    expect(await connects({ proxy })).toEqual([]);
    expect(
      await connects({ dialErrorLimit: 1, proxy: { ...proxy, port, dialErrorLimit: 1 } }),
    ).toEqual([
      "info: Dial proxy 1/1 failed: retrying",
      `error!: proxy: after 1 failed attempts: dial tcp 127.0.0.1:${port}: connect: connection refused`,
    ]);
    expect(await connects({ port, dialErrorLimit: 1, proxy })).toEqual([
      "info: Dial from proxy 1/1 failed: retrying",
      "error!: proxy: after 1 failed attempts: ssh: rejected: connect failed (Connection refused)",
    ]);
  });
});

/** A port whose connections a test handles itself. */
async function listener(accept: (socket: Socket) => void): Promise<number> {
  const server = createServer((socket) => {
    socket.on("error", () => socket.destroy());
    accept(socket);
  }).listen(0, "127.0.0.1");
  onTestFinished(() => {
    server.close();
  });
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
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
