import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { checkOperatorLogin } from "../../config/operator-login.ts";

const folder = mkdtempSync(join(tmpdir(), "operator-login-"));
afterAll(() => rmSync(folder, { recursive: true }));

function newKey(name: string, passphrase: string): string {
  const file = join(folder, name);
  execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", passphrase, "-f", file]);
  return readFileSync(file, "utf8");
}
const open = newKey("open", "");
const locked = newKey("locked", "a passphrase");

const both = {
  secretSettings: ["nixos-cache:privateKey", "nixos-cache:privateKeyPassword"],
  agentSocket: undefined,
};

test("a secret key, one with its passphrase, or an agent will do", () => {
  checkOperatorLogin({ privateKey: open }, both);
  checkOperatorLogin({ privateKey: locked, privateKeyPassword: "a passphrase" }, both);
  checkOperatorLogin({}, { secretSettings: [], agentSocket: "/run/agent" });
});

test("neither key nor agent", () => {
  expect(() => checkOperatorLogin({}, both)).toThrow(
    "nixos-cache:privateKey is missing and there is no SSH agent (SSH_AUTH_SOCK): " +
      "start an agent, or run pulumi config set --secret nixos-cache:privateKey < ~/.ssh/id_ed25519",
  );
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
    "nixos-cache:privateKey is no private key that can be read with this privateKeyPassword",
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
