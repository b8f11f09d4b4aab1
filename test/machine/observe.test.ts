import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { helperVersion } from "../../machine/helper.ts";
import { observe, observeAll } from "../../machine/observe.ts";
import { planFor } from "../../machine/plan.ts";
import type { SshAddress } from "../../machine/ssh-connection.ts";
import { sshLogin } from "../../machine/ssh-login.ts";
import { freePort, Sshd } from "../command-plugin/sshd.ts";

const sshd = new Sshd();
beforeAll(() => sshd.start());
afterAll(() => sshd.stop());

const kalaw = (changes: Partial<SshAddress> = {}): SshAddress => ({
  host: "127.0.0.1",
  port: sshd.port,
  hostKey: sshd.publicKey("host-ed25519"),
  ...changes,
});
const login = () => sshLogin({ privateKey: sshd.privateKey("operator") });
const observer = () => ({ stack: "it's/nixos-cache/home", login: login() });
/** The text that makes a helper of one shell script, and what it needs to come whole. */
const unpacking = (script: string) =>
  `mkdir "$1/steps" && cat >"$1/steps/main.sh" <<'END'\n${script}\nEND\n`;
/** Observes with a shell script in place of the helper. */
const answerOf = (script: string, machine = kalaw()) =>
  observe(machine, observer(), unpacking(script));

describe("one machine", () => {
  test("as it should be", async () => {
    expect(await answerOf(`printf 'helper\\t${helperVersion}\\nend\\n'`)).toEqual({
      state: "known",
      drift: new Map(),
      notes: [],
      runs: new Map(),
    });
  });

  test("that has drifted, is asked in this stack's name and for the operator's own helper", async () => {
    const script = `printf 'drift\\thelper\\tmissing\\ndrift\\tkeys server\\t%s\\n' "$*"; echo end`;
    expect(await answerOf(script)).toEqual({
      state: "known",
      drift: new Map([
        ["helper", "missing"],
        [
          "keys server",
          "observe --owner its/nixos-cache/home --helper /var/lib/nixos-cache/helper",
        ],
      ]),
      notes: [],
      runs: new Map(),
    });
  });

  test("whose it is: another stack's part is a note", async () => {
    const script = `printf 'owner\\tserver\\t%s\\tkalaw\\nowner\\tclient\\tx/y/z\\tkalaw\\n' "$3"
      printf 'helper\\t${helperVersion}\\nnote\\tone more key\\nend\\n'`;
    expect(await answerOf(script)).toEqual({
      state: "known",
      drift: new Map(),
      notes: [
        "its part as a client belongs to the stack x/y/z now: this stack changes it only with takeOver: true",
        "one more key",
      ],
      runs: new Map(),
    });
  });

  test("with nothing of ours, and nothing is left of the question", async () => {
    expect(await answerOf('printf "new\\tno\\nend\\n"; ls -d /run/nixos-cache* >&2')).toEqual({
      state: "new",
      imports: false,
    });
    // The one that looks is the only one there.
    const counted = "ls /run | grep -c nixos-cache | sed 's/^/drift\\tkeys server\\t/'; echo end";
    expect(await answerOf(`printf 'drift\\thelper\\tx\\n'; ${counted}`)).toEqual({
      state: "known",
      drift: new Map([
        ["helper", "x"],
        ["keys server", "1"],
      ]),
      notes: [],
      runs: new Map(),
    });
  });

  test("by the real helper: it arrives whole, answers, and leaves nothing", async () => {
    expect(await observe(kalaw(), observer())).toEqual({ state: "new", imports: false });
    const left = "ls /run | grep -c nixos-cache | sed 's/^/drift\\tkeys server\\t/'; echo end";
    expect(await answerOf(`printf 'drift\\thelper\\tx\\n'; ${left}`)).toMatchObject({
      drift: new Map([
        ["helper", "x"],
        ["keys server", "1"],
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
      away: true,
    });
  });

  test("is away where somebody else answers, or nobody more; not where it refuses the login itself", async () => {
    const isAway = async (machine: SshAddress, script = "exec sleep 60", by = "operator") => {
      const login = sshLogin({ privateKey: sshd.privateKey(by) });
      const observation = await observe(machine, { ...observer(), login }, unpacking(script), 2);
      return Reflect.get(observation, "away") ?? false;
    };
    expect(await isAway(kalaw({ hostKey: sshd.publicKey("stranger") }))).toBe(true);
    expect(await isAway(kalaw({ host: "pai.invalid" }))).toBe(true);
    expect(await isAway(kalaw())).toBe(true);
    expect(await isAway(kalaw(), "echo rubbish")).toBe(false);
    expect(await isAway(kalaw(), "exit 1")).toBe(false);
    // Last, for sshd may refuse this address for a while then.
    expect(await isAway(kalaw(), "", "stranger")).toBe(false);
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
    const observations = await observeAll(machines, observer);
    expect([...observations.keys()]).toEqual([...machines.keys()]);
    for (const observation of observations.values()) {
      expect(observation).toEqual({
        state: "unknown",
        reason: expect.stringContaining("closed the connection before the login"),
        away: true,
      });
    }
  });

  test("behind one jump host: one login there, for all", async () => {
    const way = kalaw();
    const logins = () => sshd.log.filter((line) => line.startsWith("Accepted publickey")).length;
    const before = logins();
    const machines = new Map(["kalaw", "pai"].map((name) => [name, kalaw({ jump: way })]));
    const observations = await observeAll(machines, observer);
    expect([...observations.values()]).toEqual([
      { state: "new", imports: false },
      { state: "new", imports: false },
    ]);
    expect(logins()).toBe(before + 3);
  });

  test("are unknown without a login", async () => {
    const observations = await observeAll(new Map([["kalaw", kalaw()]]), () => ({
      ...observer(),
      login: sshLogin({}, ""),
    }));
    expect(observations.get("kalaw")).toEqual({
      state: "unknown",
      reason: "there is neither a private key nor an SSH agent",
    });
  });
});

describe("a plan", () => {
  const plan = (script: string, options = {}) =>
    planFor(
      { connection: kalaw(), options, role: "client", settings: '{ "servers": {} }\n' },
      login(),
      unpacking(script),
    );

  test("is what the helper prints, for the settings that would be written", async () => {
    expect(await plan("echo \"$*\"; cat; printf '\\033[31mred\\n'")).toEqual([
      "plan client",
      '{ "servers": {} }',
      "[31mred",
    ]);
  });

  test("is of what the machine's options say", async () => {
    const rebuild = { from: "flake", attribute: "it's" };
    expect(await plan("printf '%s|' \"$@\"", { rebuild })).toEqual([
      "plan|client|--from|flake|--attribute|it's|",
    ]);
  });

  test("that there is not has a reason", async () => {
    await expect(plan("echo 'it does not build' >&2; exit 1")).rejects.toThrow(
      /^it does not build$/,
    );
  });
});
