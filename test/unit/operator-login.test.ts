import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, onTestFinished, test } from "vitest";
import { checkOperatorLogin } from "../../config/operator-login.ts";

const folder = mkdtempSync(join(tmpdir(), "operator-login-"));
afterAll(() => rmSync(folder, { recursive: true }));

function newKey(name: string, passphrase: string, type = "ed25519", form = "RFC4716"): string {
  const file = join(folder, name);
  const args = ["-q", "-t", type, "-m", form, "-N", passphrase, "-f", file];
  execFileSync("ssh-keygen", args);
  return readFileSync(file, "utf8");
}
const open = newKey("open", "");
const locked = newKey("locked", "a passphrase");

const both = {
  secretSettings: ["nixos-cache:privateKey", "nixos-cache:privateKeyPassword"],
  agentVariable: undefined,
};

test("a secret key, one with its passphrase, or an agent will do", () => {
  checkOperatorLogin({ privateKey: open }, both);
  checkOperatorLogin({ privateKey: locked, privateKeyPassword: "a passphrase" }, both);
  checkOperatorLogin({}, { secretSettings: [], agentVariable: "/run/agent" });
});

test("an agent of another socket, but not beside a key", () => {
  const agentSocket = "/run/agent";
  for (const agentVariable of [undefined, "", "/run/another"]) {
    checkOperatorLogin({ agentSocket }, { secretSettings: [], agentVariable });
  }
  expect(() => checkOperatorLogin({ privateKey: open, agentSocket }, both)).toThrow(
    "nixos-cache:agentSocket is for a login by an SSH agent, and privateKey is set: take one of them out",
  );
});

test("neither key nor agent", () => {
  for (const agentVariable of [undefined, ""]) {
    expect(() => checkOperatorLogin({}, { ...both, agentVariable })).toThrow(
      "nixos-cache:privateKey is missing and there is no SSH agent (SSH_AUTH_SOCK): " +
        "start an agent, or run pulumi config set --secret nixos-cache:privateKey < ~/.ssh/id_ed25519",
    );
  }
});

test("a key in plain text in the stack file", () => {
  expect(() => checkOperatorLogin({ privateKey: open }, { ...both, secretSettings: [] })).toThrow(
    "nixos-cache:privateKey is not encrypted: run pulumi config set --secret nixos-cache:privateKey < ~/.ssh/id_ed25519",
  );
});

test("a passphrase that is missing, or wrong", () => {
  expect(() => checkOperatorLogin({ privateKey: locked }, both)).toThrow(
    "nixos-cache:privateKey has a passphrase: run pulumi config set --secret nixos-cache:privateKeyPassword",
  );
  expect(() =>
    checkOperatorLogin({ privateKey: locked, privateKeyPassword: "another" }, both),
  ).toThrow(
    "nixos-cache:privateKeyPassword does not open privateKey: run pulumi config set --secret nixos-cache:privateKeyPassword",
  );
});

test("half a key is refused without quoting it", () => {
  const half = open.slice(0, 200);
  const check = () => checkOperatorLogin({ privateKey: half }, both);
  expect(check).toThrow(
    "nixos-cache:privateKey is no private key that can be read: write the whole file",
  );
  expect(check).not.toThrow(half.slice(60, 100));
});

describe.each([
  ["ed25519", "RFC4716"],
  ["rsa", "RFC4716"],
  ["rsa", "PEM"],
  ["ecdsa", "PEM"],
  ["rsa", "PKCS8"],
  ["ecdsa", "PKCS8"],
])("a key of type %s, written as %s", (type, form) => {
  const open = newKey(`${type}-${form}`, "", type, form);
  const locked = newKey(`${type}-${form}-locked`, "a passphrase", type, form);
  const check = (privateKey: string, privateKeyPassword?: string) => () =>
    checkOperatorLogin({ privateKey, privateKeyPassword }, both);

  test("without passphrase", () => {
    check(open)();
    check(open.replaceAll("\n", "\r\n"))();
    expect(check(open, "a passphrase")).toThrow(
      "nixos-cache:privateKeyPassword is set, but privateKey has no passphrase: run pulumi config rm",
    );
  });

  test("with one; a wrong one is told in the setting's words, and nothing is thrown later", async () => {
    const late: unknown[] = [];
    const hear = (error: unknown) => void late.push(error);
    process.on("uncaughtException", hear);
    onTestFinished(() => void process.off("uncaughtException", hear));
    if (form === "PKCS8") {
      // As the command plugin has it.
      for (const passphrase of [undefined, "a passphrase"]) {
        expect(check(locked, passphrase)).toThrow(
          "nixos-cache:privateKey is encrypted PKCS #8, which Pulumi does not read: run ssh-keygen -p -f",
        );
      }
    } else {
      check(locked, "a passphrase")();
      expect(check(locked)).toThrow("nixos-cache:privateKey has a passphrase");
      expect(check(locked, "another")).toThrow("nixos-cache:privateKeyPassword does not open");
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(late).toEqual([]);
  });
});

test("a key that is indented, or PuTTY's", () => {
  const check = (privateKey: string) => () => checkOperatorLogin({ privateKey }, both);
  expect(check(open.replaceAll(/^/gm, "  "))).toThrow("nixos-cache:privateKey is indented: ");
  const putty = "PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none\nComment: x\n";
  expect(check(putty)).toThrow("nixos-cache:privateKey is a key of PuTTY: write what puttygen");
});

test("a passphrase without a key, or in plain text", () => {
  const check = (secretSettings: string[]) => () =>
    checkOperatorLogin(
      { privateKeyPassword: "x" },
      { secretSettings, agentVariable: "/run/agent" },
    );
  expect(check(both.secretSettings)).toThrow(
    "nixos-cache:privateKeyPassword is for privateKey, which is missing: run pulumi config rm nixos-cache:privateKeyPassword",
  );
  expect(check([])).toThrow("nixos-cache:privateKeyPassword is not encrypted");
});
