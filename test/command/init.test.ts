import { existsSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { outcome } from "../../dev/lab/outcome.ts";
import { checkout } from "../../dev/tools/checkout.ts";
import { toolchain } from "../../dev/tools/toolchain.ts";
import { useHome } from "../system/home.ts";

const home = useHome();
/** Where a newcomer begins: an empty folder, a backend of their own, an ssh that knows the machines. */
const newcomer = { folder: "", env: {} as Record<string, string> };

beforeAll(async () => {
  const { lab } = home();
  newcomer.folder = join(lab.folder, "newcomer");
  await mkdir(join(newcomer.folder, "state"), { recursive: true });
  newcomer.env = {
    ...(await toolchain(() => {})).env,
    PULUMI_BACKEND_URL: `file://${join(newcomer.folder, "state")}`,
    PULUMI_CONFIG_PASSPHRASE: "correct horse",
    SSH_AUTH_SOCK: "",
  };
  const ssh = (knownHosts: string) => `Host *
  IdentityFile "${lab.operatorKeyFile}"
  IdentitiesOnly yes
  GlobalKnownHostsFile none
  StrictHostKeyChecking accept-new
  UserKnownHostsFile "${knownHosts}"
`;
  await writeFile(join(newcomer.folder, "ssh_config"), ssh(lab.knownHostsFile));
  await writeFile(join(newcomer.folder, "ssh_stranger"), ssh(join(newcomer.folder, "nobody")));
});

function run(argv: readonly string[], more: Record<string, string | undefined> = {}) {
  const { folder, env } = newcomer;
  return outcome([...home().lab.enter, ...argv], { cwd: folder, env: { ...env, ...more } });
}

function init(sshConfig: string, ...more: string[]) {
  const { lab } = home();
  return nixosCache(
    ...["init", "--ssh-config", sshConfig, "--identity", lab.operatorKeyFile],
    ...["--server", lab.address("kalaw"), "--client", lab.address("pai"), ...more],
  );
}

const command = [process.execPath, join(checkout, "cli", "main.ts")];
const nixosCache = (...args: string[]) => run([...command, ...args]);
const written = (file: string) => existsSync(join(newcomer.folder, file));

test("a host key that the user's ssh does not know is shown, and not taken", async () => {
  const { code, stderr } = await init("ssh_stranger");
  expect(code).toBe(1);
  const shown = await home().on("kalaw", "ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub");
  expect(stderr).toContain(`which shows ssh-ed25519 ${shown.split(" ")[1]}`);
  expect(stderr).toMatch(/Compare that with what this prints on the machine's console/);
  expect(["Pulumi.yaml", "Pulumi.home.yaml", "nobody"].filter(written)).toEqual([]);
});

test("what would fail at the end is told before anything is looked at", async () => {
  const without = { PULUMI_CONFIG_PASSPHRASE: undefined, PULUMI_CONFIG_PASSPHRASE_FILE: undefined };
  const { code, stderr } = await run([...command, "init", "--server", "nowhere"], without);
  expect(code).toBe(1);
  expect(stderr).toMatch(/set PULUMI_CONFIG_PASSPHRASE_FILE to that file\n$/);
});

test("from a bare pair to a fetched path by init, up and try", async () => {
  await home().on("pai", "sed -i '/nixos-cache/d' /etc/nixos/base.nix");
  const { code, stdout, stderr } = await init("ssh_config");
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  expect(stdout).toContain("/etc/nixos: a flake of root, in the git repository /etc/nixos");
  expect(stdout).toContain("import line: in /etc/nixos/base.nix");
  expect(stdout).toContain("pai reaches kalaw as kalaw");

  // As a person would: the line that it shows, in the file that it names.
  const lines = stdout.split("\n");
  const at = lines.indexOf("Add to /etc/nixos/hosts/pai.nix, inside its outermost { }:");
  const line = lines[at + 1] ?? "";
  expect(line).toContain("if builtins.pathExists ../nixos-cache then");
  const insert =
    "cat >/root/line && sed -i '1r /root/line' /etc/nixos/hosts/pai.nix && rm /root/line";
  await home().on("pai", insert, `${line}\n`);

  const before = await nixosCache("status");
  expect(before.stdout).toContain("nothing of this stack is on it yet");
  const up = await run(["pulumi", "up", "--yes", "--skip-preview"]);
  expect(up.code, up.stdout + up.stderr).toBe(0);
  const tried = await nixosCache("try");
  expect(tried.stdout).toMatch(/pai fetched it in \d+ ms, signed by kalaw-/);
  expect((await nixosCache("doctor")).stdout).toBe(
    "this computer: all is well\nkalaw: all is well\npai: all is well\n",
  );
});

test("it overwrites nothing, and the key is in the file encrypted only", async () => {
  const file = join(newcomer.folder, "Pulumi.home.yaml");
  const before = await readFile(file, "utf8");
  expect(before).toMatch(/nixos-cache:privateKey:\n +secure: /);
  const { code, stderr } = await init("ssh_config");
  expect({ code, stderr }).toEqual({
    code: 1,
    stderr:
      "Pulumi.home.yaml has settings already, and init overwrites nothing: edit it, or name another stack with --stack\n",
  });
  expect(await readFile(file, "utf8")).toBe(before);
});
