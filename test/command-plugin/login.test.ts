import { existsSync } from "node:fs";
import { appendFile, readFile } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { describe, expect, test } from "vitest";
import { useSshAgent } from "../ssh-agent.ts";
import { connects, failed, sshd } from "./contract.ts";
import { password } from "./sshd.ts";

const agent = useSshAgent();

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

  test.each([
    ["rsa", "PEM", "correct horse", "correct horse", undefined],
    ["rsa", "PKCS8", "", undefined, undefined],
    ["ecdsa", "PKCS8", "", undefined, undefined],
    ["rsa", "PEM", "correct horse", undefined, "ssh: this private key is passphrase protected"],
    ["rsa", "PEM", "correct horse", "x", "x509: decryption password incorrect"],
    ["rsa", "PEM", "", "x", "ssh: not an encrypted key"],
    ["rsa", "PKCS8", "", "x", "ssh: not an encrypted key"],
    ["ed25519", "RFC4716", "", "x", "ssh: key is not password protected"],
    [
      "ecdsa",
      "PKCS8",
      "correct horse",
      undefined,
      'ssh: unsupported key type "ENCRYPTED PRIVATE KEY"',
    ],
    ["ecdsa", "PKCS8", "correct horse", "correct horse", "ssh: not an encrypted key"],
  ])(
    "by a private key of type %s, written as %s, locked by %j, with %j: %s",
    async (type, form, locked, given, message) => {
      const file = join(sshd.folder, `key-${type}-${form}-${locked === "" ? "open" : "locked"}`);
      if (!existsSync(file)) {
        await execa("ssh-keygen", ["-q", "-t", type, "-m", form, "-N", locked, "-f", file]);
        await appendFile(
          join(sshd.folder, "authorized_keys"),
          `\n${await readFile(`${file}.pub`, "utf8")}`,
        );
      }
      const password = given === undefined ? {} : { privateKeyPassword: given };
      const said = await connects({ privateKey: await readFile(file, "utf8"), ...password });
      expect(said).toEqual(message === undefined ? [] : [`error!: ${message}`]);
    },
  );

  test("a private key whose lines are indented fails at once", async () => {
    const privateKey = sshd.privateKey("operator").replaceAll(/^/gm, "  ");
    expect(await connects({ privateKey })).toEqual(["error!: ssh: no key found"]);
  });

  test("by agent, from its path or SSH_AUTH_SOCK; never where a private key is set", async () => {
    const { socket } = agent;
    agent.add(join(sshd.folder, "operator"));
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
    const offered = '"ssh-ed25519" "ecdsa-sha2-nistp256" "rsa-sha2-512" "rsa-sha2-256"';
    const [message] = await connects({ hostKey: sshd.publicKey("host-rsa") });
    expect(
      [...(message ?? "").matchAll(/\[(.*?)\]/g)].map((match) => match[1]?.split(" ").sort()),
    ).toEqual([['"ssh-rsa"'], offered.split(" ").sort()]);
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
