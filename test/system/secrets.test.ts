import { spawn } from "node:child_process";
import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { useHome } from "./home.ts";

const home = useHome();

/** Parts of every secret, long enough to be in no text by chance. */
let secrets: { name: string; needle: string }[];
/**
 * Everything that Pulumi printed while it made and used them. Not its debug log (--debug, --logtostderr): that
 * quotes every message between engine and program, secrets too, and the README warns of it.
 */
let printed = "";
/** Every argument, and every variable of an environment, that any process here or on the hosts had meanwhile. */
let words: Set<string>;

/** Runs `work` and collects the words of all processes until it is done: ours and the hosts', whose kernel is ours. */
async function watchingProcesses<T>(work: () => Promise<T>): Promise<T> {
  const watcher = spawn(
    "sh",
    ["-c", "while :; do cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ; done 2>/dev/null"],
    { stdio: ["ignore", "pipe", "ignore"] },
  );
  words = new Set();
  let rest = "";
  watcher.stdout.setEncoding("latin1").on("data", (chunk: string) => {
    const all = (rest + chunk).split("\0");
    rest = all.pop() ?? "";
    for (const word of all) words.add(word);
  });
  try {
    return await work();
  } finally {
    const ended = new Promise((resolve) => watcher.once("close", resolve));
    watcher.kill();
    await ended;
  }
}

beforeAll(async () => {
  const { stdout, stderr } = await watchingProcesses(() =>
    home().stack.run(["up", "--yes", "--diff"]),
  );
  printed = stdout + stderr;

  const state = await home().stack.run(["stack", "export", "--show-secrets"]);
  const resources = JSON.parse(state.stdout).deployment.resources as {
    urn: string;
    outputs?: { output?: { plaintext: string } };
  }[];
  const keypair = (name: string): string => {
    const text = resources.find(({ urn }) => urn.endsWith(`::${name}`))?.outputs?.output?.plaintext;
    if (text === undefined) throw new Error(`no ${name} in the state`);
    return JSON.parse(text).privateKey;
  };
  const operator = await readFile(home().lab.operatorKeyFile, "utf8");
  secrets = [
    // The second line of a PEM: key material. A signing key's seed comes first, its public half last.
    { name: "pai's SSH key", needle: keypair("pai-key").split("\n")[3] ?? "" },
    {
      name: "kalaw's signing key",
      needle: keypair("kalaw-signing-key").split(":")[1]?.slice(0, 40) ?? "",
    },
    { name: "the operator's key", needle: operator.split("\n")[3] ?? "" },
  ];
});

/** The names of the secrets that stand in a text. */
const found = (text: string) =>
  secrets.flatMap(({ name, needle }) => (text.includes(needle) ? [name] : []));

test("the needles are what the machines hold", async () => {
  for (const { needle } of secrets) expect(needle.length).toBeGreaterThanOrEqual(20);
  expect(found(await home().on("pai", "cat /var/lib/nixos-cache/ssh/identity"))).toEqual([
    "pai's SSH key",
  ]);
  expect(found(await home().on("kalaw", "cat /var/lib/nixos-cache/signing/*"))).toEqual([
    "kalaw's signing key",
  ]);
});

test("private keys are root's, mode 0600, in folders that only root may enter", async () => {
  const modes = "find /var/lib/nixos-cache -printf '%m %U %P\\n' | sort -k3";
  const pai = await home().on("pai", modes);
  expect(pai).toMatch(/^700 0 $/m);
  expect(pai).toMatch(/^700 0 ssh$/m);
  expect(pai).toMatch(/^600 0 ssh\/identity$/m);
  const kalaw = await home().on("kalaw", modes);
  expect(kalaw).toMatch(/^600 0 signing\/0$/m);
  // The copies of the module and the settings are public; the folder that they stand in is not.
  const secret = (line: string) => !/^\d+ 0 activated\//.test(line);
  for (const modes of [pai, kalaw]) {
    expect(modes.split("\n").filter((line) => secret(line) && !/^[67]00 0 /.test(line))).toEqual(
      [],
    );
  }
});

test("they are nowhere else on a machine: not in the Nix store, its database, /etc, /tmp, /run or a log", async () => {
  for (const host of ["kalaw", "pai"]) {
    for (const { name, needle } of secrets) {
      // The needle comes on stdin, so that grep's own command line is none of the places.
      const places = await home().on(
        host,
        `cat | grep -rlF -f - --binary-files=text --devices=skip \
           /nix/store /nix/var /etc /tmp /run /root /home /var 2>/root/grep
         test $? -le 1 || test -z "$(grep -v 'No such file' /root/grep)"`,
        needle,
      );
      const expected =
        name === "pai's SSH key" && host === "pai"
          ? "/var/lib/nixos-cache/ssh/identity"
          : name === "kalaw's signing key" && host === "kalaw"
            ? [0, 1, 2, 3].map((place) => `/var/lib/nixos-cache/signing/${place}`).join("\n")
            : "";
      expect(places.split("\n").sort().join("\n"), `${name} on ${host}`).toEqual(expected);
    }
  }
});

test("they are in no process's arguments or environment", () => {
  // The engine hands a program its settings in this variable, so the operator's key is in the program's own
  // environment, which root and its user may read.
  const ours = [...words].filter((word) => !word.startsWith("PULUMI_CONFIG="));
  const text = ours.join("\n");
  // The watcher saw what it had to see.
  expect(text).toContain("/var/lib/nixos-cache/agent");
  expect(text).toContain("nixos-rebuild");
  expect(ours.length).toBeLessThan(words.size);
  expect(found(text)).toEqual([]);
});

test("they are in nothing that Pulumi prints", () => {
  expect(printed).toContain("kalaw-settings");
  expect(found(printed)).toEqual([]);
});

test("they are in no preview and no failure", async () => {
  const preview = await home().stack.run(["preview", "--diff", "--show-sames", "--json"]);
  expect(found(preview.stdout + preview.stderr)).toEqual([]);

  await home().lab.cut("kalaw");
  await home().stack.run([
    "config",
    "set",
    "--path",
    "nixos-cache:servers.kalaw.address",
    "kalaw.lan",
  ]);
  expect(found(await home().failingUp())).toEqual([]);
  await home().lab.mend("kalaw");
  await home().stack.run(["config", "set", "--path", "nixos-cache:servers.kalaw.address", "kalaw"]);
  await home().up();
});

test("the state and the stack file hold them encrypted", async () => {
  const files = await readdir(home().stack.folder, { recursive: true });
  let read = 0;
  for (const file of files) {
    const path = join(home().stack.folder, file);
    if (!(await stat(path)).isFile()) continue;
    expect(found(await readFile(path, "utf8")), file).toEqual([]);
    read++;
  }
  expect(files.some((file) => /\.json$/.test(file))).toBe(true);
  expect(read).toBeGreaterThan(4);
});
