import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { sha256 } from "../../machine/agent.ts";
import { type ObservedMachine, observe, observeAll } from "../../machine/observe.ts";
import { planFor } from "../../machine/plan.ts";
import { sshLogin } from "../../machine/ssh-login.ts";
import { freePort, Sshd } from "../command-plugin/sshd.ts";

const sshd = new Sshd();
beforeAll(() => sshd.start());
afterAll(() => sshd.stop());

const kalaw = (changes: Partial<ObservedMachine["connection"]> = {}): ObservedMachine => ({
  connection: {
    host: "127.0.0.1",
    port: sshd.port,
    hostKey: sshd.publicKey("host-ed25519"),
    ...changes,
  },
});
const login = () => sshLogin({ privateKey: sshd.privateKey("operator") });
/** Observes with a shell script in place of the helper. */
const answerOf = (script: string, machine = kalaw()) => observe(machine, login(), script);

describe("one machine", () => {
  test("as it should be", async () => {
    // The helper on the machine is the one that asks.
    const script = `printf 'helper\\t%s\\nend\\n' "$(sha256sum <$0 | cut -d' ' -f1)"`;
    expect(await answerOf(script)).toEqual({ state: "known", drift: new Map() });
  });

  test("that has drifted", async () => {
    const script = `[ "$*" = observe ] && printf 'drift\\tagent\\tmissing\\ndrift\\tsigning\\tits key is %s\\nend\\n' "$(id -un)s"`;
    expect(await answerOf(script)).toEqual({
      state: "known",
      drift: new Map([
        ["agent", "missing"],
        ["signing", "its key is roots"],
      ]),
    });
  });

  test("with nothing of ours, and nothing is left of the question", async () => {
    expect(await answerOf('printf "new\\nend\\n"; ls -d /run/nixos-cache.* >&2')).toEqual({
      state: "new",
    });
    // The one that looks is the only one there.
    const counted = "ls /run | grep -c nixos-cache | sed 's/^/drift\\tsigning\\t/'; echo end";
    expect(await answerOf(`printf 'drift\\tagent\\tx\\n'; ${counted}`)).toEqual({
      state: "known",
      drift: new Map([
        ["agent", "x"],
        ["signing", "1"],
      ]),
    });
  });

  test.each([
    ["that breaks off", "echo new", "its answer is not whole"],
    ["that fails", "echo end; echo 'no Nix here' >&2; exit 9", "exit status 9: no Nix here"],
  ])("with an answer %s is unknown", async (_, script, reason) => {
    expect(await answerOf(script)).toEqual({
      state: "unknown",
      reason: expect.stringContaining(reason),
    });
  });

  test("that cannot be reached is unknown", async () => {
    const port = await freePort();
    expect(await answerOf("echo end", kalaw({ port }))).toEqual({
      state: "unknown",
      reason: `127.0.0.1 port ${port} refuses connections`,
    });
  });
});

describe("all machines", () => {
  test("are looked at at once", async () => {
    const all = 50;
    const sockets: Socket[] = [];
    // It hangs up only when all are there.
    const server = createServer((socket) => {
      sockets.push(socket);
      if (sockets.length === all) for (const one of sockets) one.end();
    }).listen(0, "127.0.0.1");
    await once(server, "listening");
    onTestFinished(() => void server.close());
    const { port } = server.address() as { port: number };
    const machines = new Map(
      Array.from({ length: all }, (_, i) => [`desk-${i}`, kalaw({ port })] as const),
    );
    const observations = await observeAll(machines, login);
    expect([...observations.keys()]).toEqual([...machines.keys()]);
    for (const observation of observations.values()) {
      expect(observation).toEqual({
        state: "unknown",
        reason: expect.stringContaining("closed the connection before the login"),
      });
    }
  });

  test("are unknown without a login", async () => {
    const observations = await observeAll(new Map([["kalaw", kalaw()]]), () => sshLogin({}, ""));
    expect(observations.get("kalaw")).toEqual({
      state: "unknown",
      reason: "there is neither a private key nor an SSH agent",
    });
  });
});

describe("a plan", () => {
  const plan = (script: string) =>
    planFor({ ...kalaw(), role: "client", settings: '{ "servers": {} }\n' }, login(), script);

  test("is what the helper prints, for the settings that would be written", async () => {
    expect(await plan("echo \"$*\"; cat; printf '\\033[31mred\\n'")).toEqual([
      "plan client",
      '{ "servers": {} }',
      "[31mred",
    ]);
  });

  test("that there is not has a reason", async () => {
    await expect(plan("echo 'it does not build' >&2; exit 1")).rejects.toThrow(
      /^it does not build$/,
    );
  });
});

test("a helper is known by the SHA-256 of its text", () => {
  expect(sha256("abc")).toMatch(/^ba7816bf/);
});
