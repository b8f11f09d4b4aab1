import { once } from "node:events";
import { mkdirSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { join } from "node:path";
import { execa } from "execa";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { until } from "../../dev/lab/until.ts";
import { runOverSsh } from "../../machine/run-over-ssh.ts";
import { NotReached, type SshAddress, type SshEndpoint } from "../../machine/ssh-connection.ts";
import { sshLogin } from "../../machine/ssh-login.ts";
import { freePort, Sshd } from "../command-plugin/sshd.ts";
import { useSshAgent } from "../ssh-agent.ts";

const agent = useSshAgent();
const sshd = new Sshd();
beforeAll(() => sshd.start());
afterAll(() => sshd.stop());

const address = (changes: Partial<SshAddress> = {}): SshAddress => ({
  host: "127.0.0.1",
  port: sshd.port,
  hostKey: sshd.publicKey("host-ed25519"),
  ...changes,
});
const login = (name = "operator", privateKeyPassword?: string) =>
  sshLogin({ privateKey: sshd.privateKey(name), privateKeyPassword });

describe("a command", () => {
  test("leaves its output and its exit status", async () => {
    expect(await runOverSsh(address(), login(), "id -un; echo trouble >&2; exit 3")).toEqual({
      status: 3,
      stdout: "root\n",
      stderr: "trouble\n",
    });
  });

  test("gets its whole stdin", async () => {
    const stdin = "höchstens 100 KB\n".repeat(6000);
    const { stdout } = await runOverSsh(address(), login(), "cat", { stdin });
    expect(stdout).toBe(stdin);
  });

  test("need not read its stdin", async () => {
    const stdin = "x".repeat(1_000_000);
    expect(await runOverSsh(address(), login(), "exit 0", { stdin })).toMatchObject({ status: 0 });
  });

  test("that is killed has no exit status", async () => {
    await expect(runOverSsh(address(), login(), "kill -KILL $$")).rejects.toThrow(
      /^the command was ended by (SIG)?KILL$/,
    );
  });

  test("that takes too long is left", async () => {
    await expect(runOverSsh(address(), login(), "sleep 60", { seconds: 2 })).rejects.toThrow(
      /^127\.0\.0\.1 port \d+ took more than 2 seconds$/,
    );
  });

  test("that prints without end is cut off", async () => {
    await expect(runOverSsh(address(), login(), "yes")).rejects.toThrow(
      "the command printed too much",
    );
  });

  test("has a connection of its own, which is closed after it", async () => {
    const closed = () => sshd.log.filter((line) => line.includes("Disconnected from user root"));
    const before = closed().length;
    await runOverSsh(address(), login(), "true");
    await until(async () => closed().length === before + 1, {
      seconds: 10,
      otherwise: "the connection stays open",
    });
  });

  test("of fifty at once waits for none of the others", async () => {
    const all = 50;
    const folder = join(sshd.folder, "arrived");
    mkdirSync(folder);
    // Each ends only when all have begun.
    const command = (i: number) =>
      `touch ${folder}/${i}; until [ $(ls ${folder} | wc -l) = ${all} ]; do sleep 0.2; done`;
    const key = login();
    const ran = await Promise.all(
      Array.from({ length: all }, (_, i) =>
        runOverSsh(address(), key, command(i), { dialSeconds: 60, seconds: 120 }),
      ),
    );
    expect(ran.every(({ status }) => status === 0)).toBe(true);
  });
});

describe("the login", () => {
  test.each([
    ["operator-ecdsa", undefined],
    ["operator-locked", "correct horse"],
  ])("by private key: %s", async (name, password) => {
    expect(await runOverSsh(address(), login(name, password), "true")).toMatchObject({ status: 0 });
  });

  test.each([
    ["rsa", []],
    ["rsa", ["-m", "PEM"]],
    ["rsa", ["-m", "PKCS8"]],
    ["ecdsa", ["-m", "PEM"]],
    ["ecdsa", ["-m", "PKCS8"]],
  ])("by a private key of type %s, written as %j", async (type, form) => {
    const name = `form-${type}${form.join("")}`;
    const file = join(sshd.folder, name);
    await execa("ssh-keygen", ["-q", "-t", type, ...form, "-N", "", "-f", file]);
    await execa("sh", ["-c", `echo && cat ${file}.pub`]).then(({ stdout }) =>
      execa("tee", ["-a", join(sshd.folder, "authorized_keys")], { input: `${stdout}\n` }),
    );
    expect(await runOverSsh(address(), login(name), "true")).toMatchObject({ status: 0 });
  });

  test("by agent", async () => {
    const byAgent = sshLogin({}, agent.socket);
    await expect(runOverSsh(address(), byAgent, "true")).rejects.toThrow(
      "does not let root in with this key",
    );
    agent.add(join(sshd.folder, "operator"));
    expect(await runOverSsh(address(), byAgent, "true")).toMatchObject({ status: 0 });
  });

  test("by an agent that is not there", async () => {
    const byAgent = sshLogin({}, join(sshd.folder, "no-agent"));
    await expect(runOverSsh(address(), byAgent, "true")).rejects.toThrow(
      "the SSH agent does not answer",
    );
    expect(() => sshLogin({}, "")).toThrow("there is neither a private key nor an SSH agent");
  });

  test("is refused", async () => {
    await expect(runOverSsh(address(), login("stranger"), "true")).rejects.toThrow(
      `127.0.0.1 port ${sshd.port} does not let root in with this key`,
    );
  });

  test("by a key that cannot be read is no login, and the error does not quote it", () => {
    const half = sshd.privateKey("operator").slice(0, 200);
    for (const [key, password] of [
      [half, undefined],
      [sshd.privateKey("operator-locked"), undefined],
      [sshd.privateKey("operator-locked"), "wrong"],
      [sshd.publicKey("operator"), undefined],
    ]) {
      expect(() => sshLogin({ privateKey: key, privateKeyPassword: password })).toThrow(
        /^the operator's private key cannot be read: (it|its|there) [a-z .…A-Z-]+$/,
      );
    }
  });
});

describe("the host key", () => {
  test.each(["host-ed25519", "host-ecdsa"])("is %s, with or without its comment", async (name) => {
    const hostKey = sshd.publicKey(name);
    for (const line of [hostKey, hostKey.split(" ").slice(0, 2).join(" ")]) {
      const ran = await runOverSsh(address({ hostKey: line }), login(), "true");
      expect(ran).toMatchObject({ status: 0 });
    }
  });

  test("of another machine: nobody logs in there", async () => {
    const logins = () => sshd.log.filter((line) => line.startsWith("Accepted")).length;
    const before = logins();
    await expect(
      runOverSsh(address({ hostKey: sshd.publicKey("stranger") }), login(), "true"),
    ).rejects.toThrow("has another host key than the one in the settings");
    expect(logins()).toBe(before);
  });

  test("of a type that the machine has not", async () => {
    const file = join(sshd.folder, "p521");
    await execa("ssh-keygen", ["-q", "-t", "ecdsa", "-b", "521", "-N", "", "-f", file]);
    await expect(
      runOverSsh(address({ hostKey: sshd.publicKey("p521") }), login(), "true"),
    ).rejects.toThrow(
      "has no host key of the type of the one in the settings, ecdsa-sha2-nistp521",
    );
  });

  test.each([
    ["rubbish", "connection.hostKey is no SSH public key"],
    [undefined as never, "connection.hostKey is missing"],
  ])("that is %s: nothing is dialled", async (hostKey, words) => {
    await expect(runOverSsh(address({ hostKey }), login(), "true")).rejects.toThrow(words);
  });
});

describe("through a jump host", () => {
  const jump = (changes: Partial<SshEndpoint> = {}) => address(changes);

  test("with the same login in both places; both host keys count", async () => {
    expect(await runOverSsh(address({ jump: jump() }), login(), "id -un")).toMatchObject({
      stdout: "root\n",
    });
    const other = { hostKey: sshd.publicKey("stranger") };
    await expect(runOverSsh(address({ jump: jump(other) }), login(), "true")).rejects.toThrow(
      /^the jump host 127\.0\.0\.1 port \d+ has another host key than the one in the settings$/,
    );
    await expect(runOverSsh(address({ jump: jump(), ...other }), login(), "true")).rejects.toThrow(
      /^127\.0\.0\.1 port \d+ has another host key than the one in the settings$/,
    );
  });

  test("to an IPv6 address, and to it directly", async () => {
    const inside = new Sshd("[::1]");
    await inside.start();
    onTestFinished(() => inside.stop());
    const way = { host: "::1", port: inside.port, hostKey: inside.publicKey("host-ed25519") };
    // Another operator's machine: its login is not the jump host's.
    const own = sshLogin({ privateKey: inside.privateKey("operator") });
    expect(await runOverSsh(way, own, "echo $SSH_CONNECTION")).toMatchObject({
      stdout: expect.stringMatching(/^::1 \d+ ::1 \d+\n$/),
    });
    await expect(runOverSsh({ ...way, jump: jump() }, login(), "true")).rejects.toThrow(
      `::1 port ${inside.port} does not let root in with this key`,
    );
  });

  test("that cannot be reached, or from which there is no way: the machine was not reached", async () => {
    const port = await freePort();
    for (const [way, words] of [
      [{ jump: jump({ port }) }, `the jump host 127.0.0.1 port ${port} refuses connections`],
      [
        { jump: jump(), port },
        `there is no way from the jump host 127.0.0.1 to 127.0.0.1 port ${port}`,
      ],
    ] as const) {
      const error = await runOverSsh(address(way), login(), "true").catch((error) => error);
      expect(error).toBeInstanceOf(NotReached);
      expect(error.message).toBe(words);
    }
  });

  test("that forwards nothing: so it is, and the machine may be there", async () => {
    const way = address({ jump: jump({ user: "guest" }) });
    const error = await runOverSsh(way, login(), "true").catch((error) => error);
    expect(error).not.toBeInstanceOf(NotReached);
    expect(error.message).toMatch(
      /^the jump host 127\.0\.0\.1 forwards nothing to 127\.0\.0\.1 port \d+: allow it there/,
    );
  });

  test("to a machine that accepts and stays silent: it is not waited for", async () => {
    const port = await listening(() => undefined);
    await expect(
      runOverSsh(address({ jump: jump(), port }), login(), "true", {
        dialSeconds: 1,
        seconds: 100,
      }),
    ).rejects.toThrow(`127.0.0.1 port ${port} did not answer in time`);
  });

  test("that refuses the login is named", async () => {
    // Last: sshd may refuse this address for a while then.
    await expect(runOverSsh(address({ jump: jump() }), login("stranger"), "true")).rejects.toThrow(
      /^the jump host 127\.0\.0\.1 port \d+ does not let root in with this key$/,
    );
  });
});

describe("no connection", () => {
  test("to a port that nothing listens on", async () => {
    const port = await freePort();
    await expect(runOverSsh(address({ port }), login(), "true")).rejects.toThrow(
      `127.0.0.1 port ${port} refuses connections`,
    );
  });

  test("to a name that is none", async () => {
    await expect(runOverSsh(address({ host: "pai.invalid" }), login(), "true")).rejects.toThrow(
      "the name pai.invalid is not known",
    );
  });

  test("to a port that accepts and stays silent: it is not waited for", async () => {
    const port = await listening(() => undefined);
    await expect(
      runOverSsh(address({ port }), login(), "true", { dialSeconds: 1, seconds: 100 }),
    ).rejects.toThrow(`127.0.0.1 port ${port} did not answer in time`);
  });

  test("to a port that hangs up", async () => {
    const port = await listening((socket) => socket.end());
    await expect(runOverSsh(address({ port }), login(), "true")).rejects.toThrow(
      `127.0.0.1 port ${port} closed the connection before the login`,
    );
  });

  test("to a port that says goodbye in words for a terminal: they come as plain words", async () => {
    const words = "\u001b]0;x\u0007\u001b]52;c;AAAA\u0007go\u202e away";
    const port = await listening((socket) => {
      socket.on("error", () => undefined);
      socket.write("SSH-2.0-x\r\n");
      socket.write(disconnect(words));
    });
    await expect(runOverSsh(address({ port }), login(), "true")).rejects.toThrow(
      new RegExp(`^the SSH connection to 127\\.0\\.0\\.1 port ${port} failed: [ -~]*go away$`),
    );
  });

  test("to a port that speaks something else", async () => {
    const port = await listening((socket) => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n"));
    await expect(runOverSsh(address({ port }), login(), "true")).rejects.toThrow(
      `127.0.0.1 port ${port}`,
    );
  });
});

async function listening(answer: (socket: Socket) => void): Promise<number> {
  const server = createServer(answer).listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  return (server.address() as { port: number }).port;
}

/** SSH's packet that ends a connection, as it looks before there is a key (RFC 4253, sections 6 and 11.1). */
function disconnect(words: string): Buffer {
  const text = Buffer.from(words);
  const payload = Buffer.concat([
    Buffer.from([1]),
    uint32(2),
    uint32(text.length),
    text,
    uint32(0),
  ]);
  const padding = 4 + ((8 - ((payload.length + 5 + 4) % 8)) % 8);
  const length = uint32(1 + payload.length + padding);
  return Buffer.concat([length, Buffer.from([padding]), payload, Buffer.alloc(padding)]);
}

function uint32(number: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(number);
  return bytes;
}
