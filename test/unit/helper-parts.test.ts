import { spawnSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { helperFiles, helperFolders } from "../../machine/helper.ts";

/** A folder for what the helper has on a machine, with programs that take the place of the machine's. */
let machine: string;
beforeEach(() => {
  machine = mkdtempSync(join(tmpdir(), "helper-parts-"));
  for (const folder of ["bin", "work", "data/trial", "run", "nixos", "current"])
    mkdirSync(join(machine, folder), { recursive: true });
});
afterEach(() => rmSync(machine, { recursive: true }));

/** Puts a program of that name before those of this computer. */
function program(name: string, script: string): void {
  const file = join(machine, "bin", name);
  writeFileSync(file, `#!/bin/sh\n${script}\n`);
  chmodSync(file, 0o755);
}

/** Calls functions of the helper's parts, as its main.sh does, with `fail` and all. */
function call(script: string, { path = `${machine}/bin:$PATH`, env = {} } = {}) {
  const parts = helperFiles.flatMap(({ path }) => /^steps\/(?!main)(.*)$/.exec(path)?.[1] ?? []);
  const { status, stdout, stderr } = spawnSync(
    "sh",
    [
      "-euc",
      `m=${machine} nixos=$m/nixos ours=$m/nixos/nixos-cache data=$m/data profile=$m/profile
       current=$m/current run=$m/run work=$m/work seen=$m/work/ours log=$m/log began= owner='a/b/c kalaw'
       owners_nixos_config=$${"{NIXOS_CONFIG-}"}
       : >$log
       for part in ${parts.join(" ")}; do . ${helperFolders.steps}/$part; done
       PATH=${path}
       ${script}`,
    ],
    { encoding: "utf8", env: { ...process.env, ...env } },
  );
  return { status, said: stdout + stderr };
}

describe("what a switch comes to", () => {
  /** The words and the end of a switch that writes this, where these units have failed before. */
  function switched(status: number, log: string, before = "") {
    program("systemctl", `case $1 in list-units) printf '%s' '${before}' ;; esac`);
    mkdirSync(join(machine, "current/bin"));
    writeFileSync(join(machine, "said"), log);
    writeFileSync(
      join(machine, "current/bin/switch-to-configuration"),
      `#!/bin/sh\ncat ${machine}/said; exit ${status}\n`,
    );
    chmodSync(join(machine, "current/bin/switch-to-configuration"), 0o755);
    return call("if switch_to $current; then echo stays; else why_it_failed; fi");
  }

  test("a unit that has failed is a reason to go back, one that had failed before is none", () => {
    const log = "warning: the following units failed: a.service, b.service\n";
    expect(switched(4, log, "a.service x\n").said).toContain("the following units failed");
    rmSync(join(machine, "current/bin"), { recursive: true });
    expect(switched(4, log, "a.service x\nb.service x\n").said).toMatch(/^.*had not.*\nstays\n$/);
  });

  test.each([
    ["a user's part failed", "warning: user activation for nix-ssh failed\n"],
    ["a user's manager failed", "warning: the following units failed: user@990.service\n"],
  ])("%s: no reason, and told", (_, log) => {
    expect(switched(4, log).said).toBe(
      `the switch ended with status 4, and no unit has failed that had not before: ${log}stays\n`,
    );
  });

  test("an activation that failed is told where units have failed too, above forty lines of theirs", () => {
    const lines = Array.from({ length: 40 }, (_, i) => `line ${i}\n`).join("");
    const log = `Failed to run activate script\nwarning: the following units failed: a.service\n${lines}`;
    const { said } = switched(4, log, "a.service x\n");
    expect(said).toMatch(
      /^Failed to run activate script\nwarning: the following units failed: a.service\n/,
    );
    expect(said).not.toContain("stays");
  });

  test("a system that needs a restart is told as that, though its last line is empty", () => {
    expect(switched(100, "init changed\n\n").said).toContain(
      "the new system needs a restart of the machine",
    );
  });

  test("checks of the new system that refuse it are told as that", () => {
    expect(switched(1, "no\nPre-switch checks failed\n").said).toContain(
      "the new system's own checks refuse a switch (system.preSwitchChecks)",
    );
  });

  test("while systemd does not answer, nobody knows whether a unit of a trial is there", () => {
    program("systemctl", "exit 1");
    expect(call("if no_trial_unit; then echo none; else echo unknown; fi").said).toBe("unknown\n");
    expect(call("if daemon_is_stopped; then echo stopped; else echo unknown; fi").said).toBe(
      "unknown\n",
    );
    expect(
      call("echo 1 >$trial/id; if unit_is_gone; then echo gone; else echo unknown; fi").said,
    ).toBe("unknown\n");
  });

  test("the checks of the system before are left out on the way back alone", () => {
    symlinkSync(join(machine, "current"), join(machine, "profile"));
    const stub =
      'run_switch() { shift; echo "$*"; }; echo keeping >$trial/phase; profile_as_before() { :; }';
    expect(call(`${stub}; boot_profile`).said).toBe("boot\n");
    expect(call(`${stub}; back=; boot_as_before`).said).toBe("boot NIXOS_NO_CHECK=1\n");
  });
});

test("a file of another step's that is gone before it is looked at fails nothing, and others are closed", () => {
  mkdirSync(join(machine, "data/secret"));
  for (const name of [".authorized_keys.new", "secret/identity"])
    writeFileSync(join(machine, "data", name), "", { mode: 0o644 });
  chmodSync(join(machine, "data/.authorized_keys.new"), 0o666);
  program(
    "chmod",
    `rm -f ${machine}/data/.authorized_keys.new; PATH=/usr/bin:/bin exec chmod "$@"`,
  );
  const { status, said } = call("make_data_folder; stat -c '%a %n' $data/secret/identity");
  expect([status, said]).toEqual([0, `600 ${machine}/data/secret/identity\n`]);
});

describe("what another stack's client trusts, where nobody has said", () => {
  /** What the server signs with, the newest first. */
  function keyBefore(names: string[]) {
    const signing = join(machine, "data/secret/signing");
    mkdirSync(signing, { recursive: true });
    for (const name of names) writeFileSync(join(signing, name), `${name}:secret`);
    const files = ["newest", ...names].map((name) => join(signing, name)).join(" ");
    const sums = names.map((name) => `sha256sum ${join(signing, name)} >>$data/expected`);
    writeFileSync(
      join(machine, "data/expected"),
      `line nix.conf extra-secret-key-files = ${files}\n`,
    );
    return call(`${sums.join("\n")}\nkey_before ${names[0]}`).said;
  }

  test("it is the key before the newest, if there is one", () => {
    expect(keyBefore(["kalaw-2"])).toBe("kalaw-2\n");
    expect(keyBefore(["kalaw-3", "kalaw-2", "kalaw-1"])).toBe("kalaw-2\n");
  });
});

describe("what a trial's unit does", () => {
  test.each(["trial", "revert"])("%s of another trial touches nothing", (step) => {
    const { status, said } = call(
      `echo 1 >$trial/id; mkdir $run/trial-2
       go_back() { echo went back; }; switch_on_trial() { echo switched; }
       ${step} 2`,
    );
    expect([status, said]).toEqual([0, ""]);
  });
});

describe("the host keys of a machine", () => {
  test("are found where sshd has them, also without a public half beside them", () => {
    const keygen = (name: string) =>
      spawnSync("ssh-keygen", [
        "-q",
        "-t",
        "ed25519",
        "-N",
        "",
        "-C",
        "x",
        "-f",
        join(machine, name),
      ]);
    for (const name of ["with", "without"]) keygen(name);
    rmSync(join(machine, "without.pub"));
    program("sshd", `printf 'HostKey %s\\n' ${machine}/with ${machine}/without ${machine}/missing`);
    const { said } = call("own_host_keys");
    expect(said).toMatch(/^(cache ssh-ed25519 \S+\n){2}$/);
  });
});

describe("what a rebuild needs on a machine is looked for first", () => {
  /** A PATH with programs that are there on any machine, and no others. */
  function path(): string {
    for (const name of [
      "readlink",
      "dirname",
      "stat",
      "cat",
      "cut",
      "grep",
      "sort",
      "head",
      "sed",
      "tail",
      "tr",
    ])
      program(name, `PATH=${process.env.PATH} exec ${name} "$@"`);
    return `${machine}/bin`;
  }
  test("a folder with the configuration", () => {
    const { status, said } = call("nixos=$m/none; check_buildable");
    expect(status).toBe(1);
    expect(said).toMatch(
      /^there is no \S+\/none on this machine, which `pulumi up` rebuilds it from\n/,
    );
    expect(said).toContain("rebuild: { by: owner }");
  });

  test("nixos-rebuild", () => {
    const { said } = call("as_owner() { :; }; check_buildable", { path: path() });
    expect(said).toMatch(/^there is no nixos-rebuild on this machine\n.*disableInstallerTools/);
  });

  test("that the folder can be written", () => {
    const { said } = call("as_owner() { [ $1 != test ]; }; check_buildable");
    expect(said).toMatch(/^\S+\/nixos cannot be written on this machine\n/);
  });

  test("git, where the folder or one above is a repository", () => {
    const said = () =>
      call("if is_repository; then echo yes; else echo no; fi", { path: path() }).said;
    expect(said()).toBe("no\n");
    mkdirSync(join(machine, ".git"));
    expect(said()).toMatch(
      /^\S+ is a git repository, and there is no git on this machine for root/,
    );
  });
});

describe("which configuration nixos-rebuild builds", () => {
  const words = (script: string, env = {}) => {
    program("nixos-rebuild", 'echo "$*" NIXOS_CONFIG=$NIXOS_CONFIG');
    program("nix-instantiate", 'case $1 in --find-file) exit 1 ;; *) echo \\"$*\\" ;; esac');
    return call(script, { env }).said.replaceAll(machine, "");
  };
  const version = (text: string) => writeFileSync(join(machine, "current/nixos-version"), text);

  test("that of the variable NIXOS_CONFIG is refused, where it is another", () => {
    const config = join(machine, "else.nix");
    writeFileSync(config, "");
    const said = words("nixos=/etc/nixos; by_owner=; check_channel", { NIXOS_CONFIG: config });
    expect(said).toContain(
      "this machine's configuration is /else.nix, by the variable NIXOS_CONFIG",
    );
  });

  test("system.nix, from NixOS 26.05 on", () => {
    writeFileSync(join(machine, "nixos/system.nix"), "");
    version("25.11.1234");
    expect(words("rebuild_from=; nixos_rebuild build $nixos")).toMatch(
      /^build -I nixos-config=\/nixos\/configuration.nix/,
    );
    for (const newer of ["26.05.5.abc", "26.05pre.abc", "26.11.1"]) {
      version(newer);
      expect(words("rebuild_from=; nixos_rebuild build $nixos")).toMatch(
        /^build --file \/nixos\/system.nix/,
      );
      expect(words("rebuild_from=; evaluate $nixos")).toMatch(
        /^--eval \/nixos\/system.nix -A config.system.build.toplevel.outPath/,
      );
    }
  });

  test("configuration.nix, where there is a flake and the settings say channel", () => {
    version("26.05.1");
    writeFileSync(join(machine, "nixos/flake.nix"), "");
    expect(words("rebuild_from=channel; nixos_rebuild build $nixos")).toMatch(
      /^build --no-flake -I nixos-config=\/nixos\/configuration.nix/,
    );
  });
});

test("of Nix's own commands only those are called that Lix has too", () => {
  const text = helperFiles
    .map(({ text }) => text)
    .join("\n")
    .replaceAll(/^ *#.*$/gm, "")
    .replaceAll("\\\n", "")
    .replaceAll(/--extra-experimental-features +('[^']*'|\S+)/g, "");
  const called = [...text.matchAll(/\bnix(?:_command| ) +((?:store|key) )?([a-z-]+) /g)];
  const commands = new Set(called.map(([, group = "", command]) => group + command));
  expect([...commands].sort()).toEqual([
    "build",
    "eval",
    "key convert-secret-to-public",
    "path-info",
    "store diff-closures",
    "store dump-path",
    "store sign",
  ]);
});

describe("what is taken away at the end", () => {
  const remove = () => {
    const { status, said } = call("remove_folder $data; echo gone on");
    return { status, said: said.replaceAll(machine, "") };
  };

  test("a folder goes with what is in it", () => {
    expect(remove()).toEqual({ status: 0, said: "gone on\n" });
    expect(existsSync(join(machine, "data"))).toBe(false);
  });

  test("a mount of the owner's stays, empty", () => {
    program("rm", "/bin/rm -rf $2/*; echo busy >&2; exit 1");
    expect(remove()).toEqual({ status: 0, said: "gone on\n" });
  });

  test("what cannot be taken away is told", () => {
    program("rm", "echo read-only >&2; exit 1");
    const said = "/data cannot be removed\n--- last lines:\nread-only\n";
    expect(remove()).toEqual({ status: 1, said });
  });
});
