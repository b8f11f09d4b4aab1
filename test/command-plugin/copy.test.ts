import { execFileSync } from "node:child_process";
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { remote } from "@pulumi/command";
import { asset, secret } from "@pulumi/pulumi";
import { beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { connection, env, failed, sshd } from "./contract.ts";
import { listener } from "./listener.ts";
import { freePort, Sshd } from "./sshd.ts";
import { TestStack } from "./test-stack.ts";

// remote.CopyToRemote. The machine is this computer: what was copied is looked at where it lies.

/** A folder of the operator's, with the folders `helper` and `nixos` in it. */
let checkout: string;
/** Where the files go on the machine; not there before the copy. */
let target: string;

beforeEach(() => {
  checkout = folder("checkout");
  target = join(folder("machine"), "var/lib/nixos-cache");
  put("helper/apply.sh", "apply\n", 0o755);
  put("helper/parts/lock.sh", "lock\n");
  put("nixos/module.nix", "{ }\n");
});

function folder(name: string): string {
  const made = mkdtempSync(join(tmpdir(), `command-plugin-${name}-`));
  onTestFinished(() => rmSync(made, { recursive: true, force: true }));
  return made;
}

/** Writes a file of the operator's. */
function put(name: string, text: string, mode = 0o644): void {
  const file = join(checkout, name);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
  chmodSync(file, mode);
}

/** Two folders and a text, as our program declares them. */
function archive(from = checkout): asset.AssetArchive {
  return new asset.AssetArchive({
    helper: new asset.FileArchive(join(from, "helper")),
    nixos: new asset.FileArchive(join(from, "nixos")),
    SHA256SUMS: new asset.StringAsset("sums\n"),
  });
}

/** What arrives of {@link archive}. */
const arrived = {
  SHA256SUMS: "sums\n",
  "helper/apply.sh": "apply\n",
  "helper/parts/lock.sh": "lock\n",
  "nixos/module.nix": "{ }\n",
};

/** A stack with one copy "a". */
function stackOf(args: Partial<remote.CopyToRemoteArgs> = {}): TestStack {
  const stack = new TestStack(env);
  onTestFinished(() => stack.remove());
  stack.copies.a = { connection: connection(), source: archive(), remotePath: target, ...args };
  return stack;
}

function change(stack: TestStack, args: Partial<remote.CopyToRemoteArgs>): void {
  Object.assign(stack.copies.a as object, args);
}

async function up(stack: TestStack): Promise<string[]> {
  const { error, steps } = await stack.run("up");
  expect(error).toBe("");
  return steps;
}

/** What the plugin says to a copy that fails. */
async function refusal(args: Partial<remote.CopyToRemoteArgs>): Promise<string[]> {
  const { error, messages } = await stackOf(args).run("up");
  // No word of the plugin in a failed run: it did not even start.
  if (messages.length === 0) throw new Error(error || "it did not fail");
  return messages;
}

async function nobodyListens() {
  return connection({ port: await freePort() });
}

/** The files in a folder and below it, with their text. */
function files(under = target): Record<string, string> {
  if (!existsSync(under)) return {};
  const names = readdirSync(under, { recursive: true, encoding: "utf8" });
  const isFile = (name: string) => statSync(join(under, name)).isFile();
  return Object.fromEntries(
    names.filter(isFile).map((name) => [name, readFileSync(join(under, name), "utf8")]),
  );
}

const mode = (path: string) => (statSync(path).mode & 0o7777).toString(8);

describe("what arrives of an archive of archives", () => {
  test("its files below their names, with the modes that the umask leaves: no program is executable", async () => {
    const stack = stackOf();
    expect(await up(stack)).toEqual(["create a"]);
    expect((await stack.resource("a"))?.id).toMatch(/^[0-9a-f]{8}$/);
    expect(files()).toEqual(arrived);
    for (const made of [target, dirname(target), join(target, "helper/parts")]) {
      expect(mode(made)).toBe("755");
    }
    expect(mode(join(target, "helper/apply.sh"))).toBe("644");
  });

  test("no empty folder, no linked folder, not what Pulumi keeps; a linked file as a file", async () => {
    mkdirSync(join(checkout, "helper/empty"));
    put("helper/.pulumi/x", "");
    symlinkSync("parts", join(checkout, "helper/linked"));
    symlinkSync("apply.sh", join(checkout, "helper/linked.sh"));
    await up(stackOf());
    expect(files()).toEqual({ ...arrived, "helper/linked.sh": "apply\n" });
    expect(readdirSync(join(target, "helper")).sort()).toEqual(["apply.sh", "linked.sh", "parts"]);
  });

  test("a relative path starts at the login's home; a tilde means nothing", async () => {
    const guest = connection({ user: "guest" });
    await up(stackOf({ connection: guest, remotePath: "new/folder" }));
    await up(stackOf({ connection: guest, remotePath: "~/folder" }));
    expect(files(join(sshd.home, "new/folder"))).toEqual(arrived);
    expect(files(join(sshd.home, "~/folder"))).toEqual(arrived);
  });

  test("a file that is there is written over in place, also through a link; others stay", async () => {
    const program = join(target, "helper/apply.sh");
    const elsewhere = join(folder("elsewhere"), "module.nix");
    mkdirSync(dirname(program), { recursive: true });
    mkdirSync(join(target, "nixos"));
    writeFileSync(program, "a longer text than the new one\n", { mode: 0o700 });
    writeFileSync(join(target, "other"), "theirs");
    writeFileSync(elsewhere, "");
    symlinkSync(elsewhere, join(target, "nixos/module.nix"));
    const { ino } = statSync(program);
    await up(stackOf());
    expect(files()).toEqual({ ...arrived, other: "theirs" });
    expect(statSync(program).ino).toBe(ino);
    expect(mode(program)).toBe("700");
    expect(readFileSync(elsewhere, "utf8")).toBe("{ }\n");
  });

  test("files of any size, whole", async () => {
    const texts = [0, 32_767, 32_768, 32_769, 3_000_000].map((size) =>
      "0123456789".repeat(size / 10 + 1).slice(0, size),
    );
    for (const text of texts) put(`helper/${text.length}`, text);
    await up(stackOf());
    for (const text of texts) expect(files()[`helper/${text.length}`] === text).toBe(true);
  });
});

describe("what arrives of another source", () => {
  test("a folder: itself in the remote path, or what is in it where its path ends in a slash", async () => {
    const from = join(checkout, "helper");
    mkdirSync(join(from, "empty"));
    await up(stackOf({ source: new asset.FileArchive(from) }));
    const members = { "apply.sh": "apply\n", "parts/lock.sh": "lock\n" };
    expect(files(join(target, "helper"))).toEqual(members);
    expect(existsSync(join(target, "helper/empty"))).toBe(true);
    const other = `${target}-2`;
    await up(stackOf({ source: new asset.FileArchive(`${from}/`), remotePath: other }));
    expect(files(other)).toEqual(members);
  });

  test("a file: under the remote path, or in it where that is a folder", async () => {
    const source = new asset.FileAsset(join(checkout, "helper/apply.sh"));
    await up(stackOf({ source, remotePath: join(target, "new") }));
    await up(stackOf({ source }));
    expect(files()).toEqual({ new: "apply\n", "apply.sh": "apply\n" });
  });

  test("a text: under the remote path; secret, if it is", async () => {
    const source = secret(new asset.StringAsset("planted-secret"));
    const stack = stackOf({ source, remotePath: join(target, "new") });
    await up(stack);
    expect(files()).toEqual({ new: "planted-secret" });
    expect(stack.state()).not.toContain("planted-secret");
    expect(await up(stack)).toEqual(["same a"]);
  });

  test("a packed file: as it is", async () => {
    const packed = join(checkout, "helper.tar");
    execFileSync("tar", ["-cf", packed, "-C", checkout, "helper"]);
    await up(stackOf({ source: new asset.FileArchive(packed), remotePath: target }));
    expect(readFileSync(target).equals(readFileSync(packed))).toBe(true);
  });
});

describe("life cycle", () => {
  test("unchanged: nothing is copied, whatever has become of the files", async () => {
    const stack = stackOf();
    await up(stack);
    rmSync(join(target, "helper"), { recursive: true });
    writeFileSync(join(target, "SHA256SUMS"), "by hand");
    expect(await up(stack)).toEqual(["same a"]);
    expect((await stack.run("refresh")).error).toBe("");
    expect(await up(stack)).toEqual(["same a"]);
    expect(files()).toEqual({ SHA256SUMS: "by hand", "nixos/module.nix": "{ }\n" });
  });

  test("changed in one file: all are copied; what is gone from the source stays on the machine", async () => {
    const stack = stackOf();
    await up(stack);
    writeFileSync(join(target, "SHA256SUMS"), "by hand");
    put("nixos/module.nix", "{ changed = true; }\n");
    renameSync(join(checkout, "helper/parts/lock.sh"), join(checkout, "helper/lock.sh"));
    expect(await up(stack)).toEqual(["update a"]);
    expect(files()).toEqual({
      ...arrived,
      "nixos/module.nix": "{ changed = true; }\n",
      "helper/lock.sh": "lock\n",
    });
  });

  test("the same content at another path, with other modes and times, is no change", async () => {
    const stack = stackOf();
    await up(stack);
    const before = checkout;
    checkout = folder("second-checkout");
    cpSync(before, checkout, { recursive: true });
    chmodSync(join(checkout, "helper/apply.sh"), 0o600);
    rmSync(before, { recursive: true });
    change(stack, { source: archive() });
    expect((await stack.run("preview")).steps).toEqual(["same a"]);
    expect(await up(stack)).toEqual(["same a"]);
    // The state's inputs have the new path, its outputs the old one.
    const { inputs, outputs } = (await stack.resource("a")) ?? {};
    expect(JSON.stringify(inputs?.source)).toContain(checkout);
    expect(JSON.stringify(outputs?.source)).toContain(before);
    put("helper/apply.sh", "changed\n");
    expect(await up(stack)).toEqual(["update a"]);
    expect(files()["helper/apply.sh"]).toBe("changed\n");
  });

  test("a changed connection is an update that does not connect", async () => {
    const stack = stackOf();
    await up(stack);
    change(stack, { connection: await nobodyListens() });
    expect(await up(stack)).toEqual(["update a"]);
  });

  test("a changed path: copied there, and left at the old one", async () => {
    const stack = stackOf();
    await up(stack);
    const other = `${target}-2`;
    change(stack, { remotePath: other });
    expect(await up(stack)).toEqual(["update a"]);
    expect([files(), files(other)]).toEqual([arrived, arrived]);
  });

  test("changed triggers replace: copied again, nothing removed", async () => {
    const stack = stackOf({ triggers: ["1"] });
    await up(stack);
    for (const triggers of [["2"], ["2", "3"], []]) {
      writeFileSync(join(target, "SHA256SUMS"), "by hand");
      writeFileSync(join(target, "other"), "theirs");
      change(stack, { triggers });
      expect(await up(stack)).toEqual(["create-replacement a", "replace a", "delete-replaced a"]);
      expect(files()).toEqual({ ...arrived, other: "theirs" });
    }
  });

  test("changed triggers that are ignored do nothing; other changes count as ever", async () => {
    const stack = stackOf({ triggers: ["1"] });
    await up(stack);
    stack.options = { ignoreChanges: ["triggers"] };
    change(stack, { triggers: ["2"] });
    rmSync(target, { recursive: true });
    expect((await stack.run("preview")).steps).toEqual(["same a"]);
    expect(await up(stack)).toEqual(["same a"]);
    expect((await stack.resource("a"))?.inputs.triggers).toEqual(["1"]);
    expect(files()).toEqual({});
    put("nixos/module.nix", "{ changed = true; }\n");
    expect(await up(stack)).toEqual(["update a"]);
    expect(files()).toEqual({ ...arrived, "nixos/module.nix": "{ changed = true; }\n" });
    // When they count again, the replacement is made up for.
    stack.options = {};
    expect((await up(stack))[0]).toBe("create-replacement a");
  });

  test("destroy does not connect and removes nothing; it needs no source", async () => {
    const stack = stackOf();
    await up(stack);
    change(stack, { connection: await nobodyListens() });
    await up(stack);
    rmSync(checkout, { recursive: true });
    const { error, steps } = await stack.run("destroy");
    expect({ error, steps }).toEqual({ error: "", steps: ["delete a"] });
    expect(files()).toEqual(arrived);
  });

  test("a preview does not connect, and shows which part of an archive changes", async () => {
    const stack = stackOf({ connection: await nobodyListens() });
    expect(await stack.run("preview")).toMatchObject({ error: "", steps: ["create a"] });
    change(stack, { connection: connection() });
    await up(stack);
    change(stack, { connection: await nobodyListens() });
    put("nixos/module.nix", "{ changed = true; }\n");
    const { error, text } = await stack.run("preview");
    expect(error).toBe("");
    expect(text).toMatch(/~ source +: archive\(assets:\w+->\w+\)/);
    expect(text).toMatch(/~ "nixos" +: archive\(file:\w+->\w+\)/);
    expect(text).not.toContain('"helper"');
  });

  test("a failed copy leaves what it has written; a failed update is tried again", async () => {
    const inTheWay = join(target, "nixos/module.nix");
    mkdirSync(inTheWay, { recursive: true });
    const stack = stackOf();
    const message = [
      `error!: failed to create remote file ${inTheWay}: sftp: "Failure" (SSH_FX_FAILURE)`,
    ];
    expect((await stack.run("up")).messages).toEqual(message);
    expect(await stack.resource("a")).toBeUndefined();
    const { "nixos/module.nix": _, ...half } = arrived;
    expect(files()).toEqual(half);

    rmSync(inTheWay, { recursive: true });
    await up(stack);
    put("helper/apply.sh", "changed\n");
    rmSync(inTheWay);
    mkdirSync(inTheWay);
    for (const _time of [1, 2]) expect((await stack.run("up")).messages).toEqual(message);
    expect(files()).toEqual({ ...half, "helper/apply.sh": "changed\n" });
    rmSync(inTheWay, { recursive: true });
    expect(await up(stack)).toEqual(["update a"]);
    expect(files()).toEqual({ ...arrived, "helper/apply.sh": "changed\n" });
  });
});

describe("state", () => {
  test("holds paths and hashes of files and the text of text assets, twice; size does not matter", async () => {
    const stack = stackOf();
    await up(stack);
    const small = stack.state().length;
    put("helper/apply.sh", "planted-text\n".repeat(100_000));
    await up(stack);
    const state = stack.state();
    expect(Math.abs(state.length - small)).toBeLessThan(100); // bytes
    expect(state.length).toBeLessThan(10_000);
    expect(state).not.toContain("planted-text");
    expect(state).not.toContain(sshd.privateKey("operator").split("\n")[1] ?? "");
    const { inputs, outputs } = (await stack.resource("a")) ?? {};
    expect(outputs?.source).toEqual(inputs?.source);
    const hash = expect.stringMatching(/^[0-9a-f]{64}$/);
    const held = (name: string) => expect.objectContaining({ hash, path: join(checkout, name) });
    expect(inputs?.source).toMatchObject({
      hash,
      assets: {
        SHA256SUMS: { hash, text: "sums\n" },
        helper: held("helper"),
        nixos: held("nixos"),
      },
    });
  });
});

describe("what cannot be copied", () => {
  test("nobody listens: it is dialled again, as for a command", async () => {
    const port = await freePort();
    expect(await refusal({ connection: connection({ port, dialErrorLimit: 1 }) })).toEqual([
      "info: Dial 1/1 failed: retrying",
      `error!: after 1 failed attempts: dial tcp 127.0.0.1:${port}: connect: connection refused`,
    ]);
  });

  test("the login is refused", async () => {
    const stranger = connection({ privateKey: sshd.privateKey("stranger") });
    expect(await refusal({ connection: stranger })).toEqual(
      failed(
        "ssh: handshake failed: ssh: unable to authenticate, attempted methods [none publickey], no supported methods remain",
      ),
    );
  });

  test.each([
    ["has no SFTP", "", "ssh: subsystem request failed"],
    [
      "has not the program for SFTP",
      "/nonexistent",
      "error receiving version packet from server: server unexpectedly closed connection: unexpected EOF",
    ],
  ])("the server %s", async (_what, sftp, message) => {
    const server = new Sshd("127.0.0.1", [], sftp);
    await server.start();
    onTestFinished(() => server.stop());
    const reach = {
      port: server.port,
      privateKey: server.privateKey("operator"),
      hostKey: server.publicKey("host-ed25519"),
    };
    expect(await refusal({ connection: connection(reach) })).toEqual([`error!: ${message}`]);
  });

  test("a folder that may not be written", async () => {
    const guest = connection({ user: "guest" });
    const closed = folder("closed");
    const readable = folder("readable");
    chmodSync(readable, 0o755);
    for (const [remotePath, message] of [
      [join(closed, "x"), `failed to stat remote path ${closed}/x: permission denied`],
      [
        join(readable, "x/y"),
        `failed to create remote directory ${readable}/x/y: permission denied`,
      ],
      [readable, `failed to create remote file ${readable}/SHA256SUMS: permission denied`],
      // A file system that is read-only says no more than that.
      ["/usr/x", 'failed to create remote directory /usr/x: sftp: "Failure" (SSH_FX_FAILURE)'],
    ] as const) {
      expect(await refusal({ connection: guest, remotePath })).toEqual([`error!: ${message}`]);
    }
  });

  test("something else in the way", async () => {
    const file = join(checkout, "helper/apply.sh");
    const text = new asset.StringAsset("text");
    for (const [args, message] of [
      [
        { remotePath: file },
        `remote path ${file} exists but is not a directory; cannot copy asset archive contents`,
      ],
      [
        { remotePath: join(file, "x") },
        `failed to create remote directory ${file}/x: mkdir ${file}: not a directory`,
      ],
      [
        { remotePath: checkout, source: text },
        `remote path ${checkout} is a directory; when using a text asset, remotePath must be a file path`,
      ],
    ] as const) {
      expect(await refusal(args)).toEqual([`error!: ${message}`]);
    }
  });

  test("on a full disk only a text or a file of 32 KiB and more is an error; a smaller one is lost", async () => {
    const full = (size: number) => {
      const source = new asset.AssetArchive({ full: new asset.StringAsset("x".repeat(size)) });
      return { source, remotePath: "/dev" };
    };
    const because = 'sftp: "Failure" (SSH_FX_FAILURE)';
    const lost = stackOf(full(32 * 1024 - 1));
    expect(await up(lost)).toEqual(["create a"]);
    expect(await up(lost)).toEqual(["same a"]);
    for (const size of [32 * 1024, 100_000]) {
      expect(await refusal(full(size))).toEqual([
        `error!: failed to copy archive entry to /dev/full: ${because}`,
      ]);
    }
    const text = { source: new asset.StringAsset("x"), remotePath: "/dev/full" };
    expect(await refusal(text)).toEqual([
      `error!: failed to write text content to remote path /dev/full: ${because}`,
    ]);
  });

  test("a connection that breaks", async () => {
    put("helper/apply.sh", "x".repeat(1_000_000));
    const port = await listener((socket) => {
      let bytes = 0;
      socket.on("data", (data) => {
        bytes += data.length;
        if (bytes > 500_000) socket.destroy();
      });
      socket.pipe(connect(sshd.port, "127.0.0.1")).pipe(socket);
    });
    const path = join(target, "helper/apply.sh");
    expect(await refusal({ connection: connection({ port }) })).toEqual([
      `error!: failed to copy archive entry to ${path}: connection lost`,
    ]);
    expect(Object.keys(files()).sort()).toEqual(["SHA256SUMS", "helper/apply.sh"]);
  });
});

describe("inputs that are wrong", () => {
  test.each([
    [
      { source: "text" },
      "property asset value {<nil>} has a problem: either asset or archive must be set",
    ],
    [
      { remotePath: 3 },
      "property remotePath value {3} has a problem: Field 'remotePath' on 'remote.CopyToRemoteInputs' must be a 'string'; got 'float64' instead",
    ],
  ])("%j", async (args, message) => {
    expect(await refusal(args as never)).toEqual([
      `error!: command:remote:CopyToRemote resource 'a': ${message}`,
    ]);
  });

  test("a folder that is gone: the engine itself says so, also in a preview", async () => {
    rmSync(join(checkout, "nixos"), { recursive: true });
    const { error, messages } = await stackOf().run("preview");
    expect(messages).toEqual([]);
    expect(error).toContain(`couldn't read archive path '${join(checkout, "nixos")}'`);
  });
});
