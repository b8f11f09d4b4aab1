import { spawnSync } from "node:child_process";
import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { asRoot, sudoExplained } from "../../machine/as-root.ts";
import {
  callHelper,
  callHelperToUndo,
  callOnce,
  helperFiles,
  helperFolder,
  helperFolders,
  helperVersion,
  moduleVersion,
  unpackHelper,
} from "../../machine/helper.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "helper-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

function run(shell: string, script: string, { input = "", cwd = folder }) {
  return spawnSync(shell, ["-c", script], { input, cwd, encoding: "utf8" });
}

/** It is longer than an argument of a program can be. */
function unpackInto(folder: string, shell: string) {
  return spawnSync(shell, ["-s", folder], { input: unpackHelper, encoding: "utf8" });
}

describe("the helper's files", () => {
  test("are its steps, the NixOS module, and nothing else", () => {
    const paths = helperFiles.map(({ path }) => path);
    expect(paths).toContain("steps/main.sh");
    expect(paths.filter((path) => !/^steps\/[a-z-]+\.sh$/.test(path))).toEqual([
      "nixos/default.nix",
      "nixos/module.nix",
      "nixos/ssh-ng-filter.py",
      "nixos/warm.nix",
    ]);
  });

  test("are all named in main.sh, which reads no others", () => {
    const main = helperFiles.find(({ path }) => path === "steps/main.sh")?.text ?? "";
    const named = /^for part in ([^;]*);/m.exec(main)?.[1]?.split(/[\s\\]+/) ?? [];
    const parts = helperFiles.flatMap(({ path }) => /^steps\/(.*)\.sh$/.exec(path)?.[1] ?? []);
    expect([...named, "main"].sort()).toEqual(parts.sort());
  });

  test.each(["sh", "bash"])("are unpacked as they are, under %s, with their checksums", (shell) => {
    const unpacked = unpackInto(folder, shell);
    expect([unpacked.status, unpacked.stderr]).toEqual([0, ""]);
    for (const [name, original] of Object.entries(helperFolders)) {
      expect(spawnSync("diff", ["-r", original, join(folder, name)]).status).toBe(0);
    }
    const check = () => run("sh", "sha256sum --check --strict SHA256SUMS", {});
    expect(check()).toMatchObject({ status: 0, stderr: "" });
    expect(run("sh", "sha256sum SHA256SUMS", {}).stdout).toBe(`${helperVersion}  SHA256SUMS\n`);
    writeFileSync(join(folder, "nixos/module.nix"), "{ }");
    expect(check().status).toBe(1);
  });

  test("have a version, and the module one of its own", () => {
    expect(helperVersion).toMatch(/^[0-9a-f]{64}$/);
    expect(moduleVersion).toMatch(/^[0-9a-f]{12}$/);
  });
});

describe("a call of the helper", () => {
  test("is short: root's stands with our data, another user's in their home", () => {
    expect(callHelper("identity")).toMatch(
      /^sh -c '[^']+' \/var\/lib\/nixos-cache\/helper\/steps\/main\.sh identity$/,
    );
    expect(callHelper("identity", "fay")).toMatch(
      /^sudo -n sh -c '[^']+' \.nixos-cache-helper\/steps\/main\.sh identity$/,
    );
    expect([helperFolder(), helperFolder("root"), helperFolder("fay")]).toEqual([
      "/var/lib/nixos-cache/helper",
      "/var/lib/nixos-cache/helper",
      ".nixos-cache-helper",
    ]);
  });

  test.each(["sh", "bash"])("that comes with it leaves nothing behind, under %s", (shell) => {
    const main = "echo … $1 $2\ncat\necho $0 >&2\nexit 3\n";
    const unpack = `mkdir "$1/steps" && cat >"$1/steps/main.sh" <<'END'\n${main}END\n`;
    const { status, stdout, stderr } = run(shell, callOnce("plan server", "root", unpack), {
      input: `${unpack}settings\n`,
    });
    expect([status, stdout]).toEqual([3, "… plan server\nsettings\n"]);
    expect(stderr).toMatch(/^\/run\/nixos-cache-call\..*\/steps\/main\.sh\n$/);
    expect(existsSync(stderr.trim().replace("/steps/main.sh", ""))).toBe(false);
  });

  test("that comes with the real helper arrives whole, whatever follows it", () => {
    const { status, stderr } = run("sh", callOnce("no-such-step"), {
      input: `${unpackHelper}and more`,
    });
    expect([status, stderr]).toEqual([1, "the helper knows no step no-such-step \n"]);
  });

  test("is one of the helper that stands there, if it is this one and whole", () => {
    const standing = join(folder, ".nixos-cache-helper");
    mkdirSync(standing);
    unpackInto(standing, "sh");
    // Sudo here runs `sh -c …` and shows what that does.
    const startedFrom = () => {
      const traced = `sudo() { shift; shift; sh -x "$@" 2>&1; }; ${callOnce("no-such-step", "fay")}`;
      const { stdout } = run("sh", traced, { input: unpackHelper });
      return /^\+ exec sh (\S+) no-such-step$/m.exec(stdout)?.[1] ?? "another";
    };
    expect(startedFrom()).toBe(".nixos-cache-helper/steps/main.sh");
    appendFileSync(join(standing, "steps/observe.sh"), "# by hand\n");
    expect(startedFrom()).toBe("another");
    rmSync(join(standing, "steps/observe.sh"));
    expect(startedFrom()).toBe("another");
  });
});

test.each(["", "set -eu\n", "if true; then\n"])(
  "a main.sh that came in part, like %j, is a failure and no step that does nothing",
  (part) => {
    mkdirSync(join(folder, ".nixos-cache-helper/steps"), { recursive: true });
    writeFileSync(join(folder, ".nixos-cache-helper/steps/main.sh"), part);
    const sudo = (command: string) => `sudo() { shift; "$@"; }; ${command}`;
    for (const call of [callHelper, callHelperToUndo]) {
      expect(run("sh", sudo(call("identity", "fay")), { input: "" }).status).not.toBe(0);
    }
  },
);

describe("a call that undoes something", () => {
  // Of a user, whose helper is in the folder where their commands run. Sudo, as far as it is needed.
  const undo = (words: string, input: string) =>
    run("sh", `sudo() { shift; "$@"; }; ${callHelperToUndo(words, "fay")}`, { input });

  test("is one of the helper, where there is one", () => {
    mkdirSync(join(folder, ".nixos-cache-helper/steps"), { recursive: true });
    const main = join(folder, ".nixos-cache-helper/steps/main.sh");
    writeFileSync(main, 'printf "%s|" "$@"; cat; exit 4\n');
    chmodSync(main, 0o644);
    expect(undo("revoke --owner 'a/b/c it'\\''s'", "key\n")).toMatchObject({
      status: 4,
      stdout: "revoke|--owner|a/b/c it's|key\n",
    });
  });

  test("is nothing, where there is none: what it is sent is read to its end", () => {
    const much = "x".repeat(1_000_000);
    expect(undo("revoke", much)).toMatchObject({ status: 0, stdout: "", stderr: "" });
  });

  test("of root's goes by the whole path", () => {
    expect(callHelperToUndo("revoke")).toMatch(
      /^sh -c 'if test -e "\$0"; .*' \/var\/lib\/nixos-cache\/helper\/steps\/main\.sh revoke$/,
    );
  });
});

test("only who is not root needs sudo", () => {
  expect(asRoot("id")).toBe("id");
  expect(asRoot("id", "root")).toBe("id");
  expect(asRoot("id", "me")).toBe("sudo -n id");
});

test("where sudo fails, the words say what to do", () => {
  const said = "sudo: a password is required\n";
  expect(sudoExplained(said, "fay")).toBe(
    "sudo: a password is required: let fay use sudo without a password (NixOS: security.sudo), or set connection.user to root",
  );
  expect(sudoExplained("sh: 1: sudo: not found\n", "fay")).toContain(
    "sudo: not found: let fay use",
  );
  expect(sudoExplained(said)).toBe(said);
  const nix = "error: the option `security.sudo.it' does not exist\n";
  expect(sudoExplained(nix, "fay")).toBe(nix);
});
