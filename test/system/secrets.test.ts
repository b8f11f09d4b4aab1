import { spawn } from "node:child_process";
import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { helperFiles } from "../../machine/helper.ts";
import { keyMaterial } from "../rotation/keys.ts";
import { useHome } from "./home.ts";

const home = useHome();
const secret = "/var/lib/nixos-cache/secret";

/** Parts of every secret, long enough to be in no text by chance. */
let secrets: { name: string; needle: string }[];
/**
 * Everything that Pulumi printed while it made and used them. Not its debug log (--debug, --logtostderr): that
 * quotes every message between engine and program, secrets too, and docs/explanation/security.md warns of it.
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
  const operator = await readFile(home().lab.operatorKeyFile, "utf8");
  secrets = [
    ...needles(state.stdout),
    { name: "the operator's key", needle: operator.split("\n")[3] ?? "" },
  ];
});

/** Of the private keys in a state, which has its secrets in plain. */
function needles(state: string): { name: string; needle: string }[] {
  const resources = JSON.parse(state).deployment.resources as {
    urn: string;
    outputs?: { output?: { plaintext: string } };
  }[];
  const keypair = (name: string): string => {
    const text = resources.find(({ urn }) => urn.endsWith(`::${name}`))?.outputs?.output?.plaintext;
    if (text === undefined) throw new Error(`no ${name} in the state`);
    return JSON.parse(text).privateKey;
  };
  return [
    { name: "pai's SSH key", needle: keyMaterial(keypair("pai-key")) },
    // Of a signing key the seed comes first, its public half last.
    {
      name: "kalaw's signing key",
      needle: keypair("kalaw-signing-key").split(":")[1]?.slice(0, 40) ?? "",
    },
  ];
}

/** The names of the secrets that stand in a text. */
const found = (text: string) =>
  secrets.flatMap(({ name, needle }) => (text.includes(needle) ? [name] : []));

test("the needles are what the machines hold", async () => {
  for (const { needle } of secrets) expect(needle.length).toBeGreaterThanOrEqual(20);
  expect(found(await home().on("pai", `cat ${secret}/identity`))).toEqual(["pai's SSH key"]);
  expect(found(await home().on("kalaw", `cat ${secret}/signing/*`))).toEqual([
    "kalaw's signing key",
  ]);
});

test("private keys are root's, mode 0600, in folders that only root may enter", async () => {
  const modes = (host: string) =>
    home().on(host, `find ${secret} -printf '%y %m %U %P\\n' | sort -k4`);
  expect(await modes("pai")).toBe("d 700 0 \nf 600 0 identity\nd 700 0 signing");
  expect(await modes("kalaw")).toMatch(
    /^d 700 0 \nd 700 0 signing\nf 600 0 signing\/kalaw-\d{8}T\d{6}Z\nf 600 0 signing\/newest$/,
  );
});

test("the other files are public, and root's alone to write", async () => {
  for (const host of ["kalaw", "pai"]) {
    const open = await home().on(
      host,
      "find /var/lib/nixos-cache \\( ! -user root -o -perm /022 \\) -printf '%m %U %p\\n'",
    );
    expect(open).toBe("");
    expect(await home().on(host, "stat -c %a /var/lib/nixos-cache /run/nixos-cache")).toBe(
      "755\n755",
    );
    const files =
      "cd /var/lib/nixos-cache && stat -c %a authorized_keys nix.conf owners expected log";
    expect((await home().tryOn(host, files)).stdout).toMatch(/^(644\n)+$/);
  }
});

test("they are nowhere else on a machine: not in the Nix store, its database, /etc, /tmp, /run or a log", async () => {
  for (const host of ["kalaw", "pai"]) {
    for (const { name, needle } of secrets) {
      // The needle comes on stdin, so that grep's own command line is none of the places.
      const places = await home().on(
        host,
        `cat | { grep -rlF -f - --binary-files=text --devices=skip \
           /nix/store /nix/var /etc /tmp /run /root /home /var 2>/root/grep
         test $? -le 1 || test -z "$(grep -v 'No such file' /root/grep)"; } >/root/places &&
         sort /root/places`,
        needle,
      );
      const expected =
        name === "pai's SSH key" && host === "pai"
          ? `${secret}/identity`
          : name === "kalaw's signing key" && host === "kalaw"
            ? await home().on(host, `ls ${secret}/signing/*`)
            : "";
      expect(places, `${name} on ${host}`).toBe(expected);
    }
  }
});

test("they are in no line of a machine's journal", async () => {
  for (const host of ["kalaw", "pai"]) {
    const journal = await home().on(host, "journalctl --no-pager --output=export | cat -v");
    expect(journal).toContain("nixos-cache-trial");
    expect(found(journal)).toEqual([]);
  }
});

test("they are in no process's arguments or environment", () => {
  // The engine hands a program its settings in this variable, so the operator's key is in the program's own
  // environment, which root and its user may read.
  const ours = [...words].filter((word) => !word.startsWith("PULUMI_CONFIG="));
  const text = ours.join("\n");
  // The watcher saw what it had to see.
  expect(text).toContain("/var/lib/nixos-cache/helper/steps/main.sh");
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
  await home().set("servers.kalaw.onlyOurKeys", "true");
  expect(found(await home().failingUp())).toEqual([]);
  await home().lab.mend("kalaw");
  await home().set("servers.kalaw.onlyOurKeys", "false");
  await home().up();
});

test("nor of a step that fails on the machine with a secret on its stdin", async () => {
  // A file is where the folder of the keys should be.
  await home().on("kalaw", `mv ${secret}/signing ${secret}/moved && touch ${secret}/signing`);
  await home().set("rotation", "2");
  const output = await home().failingUp();
  expect(output).toContain("kalaw-signing");
  const state = await home().stack.run(["stack", "export", "--show-secrets"]);
  // Of the new keys too, which nothing but the state has by now.
  const all = [...secrets, ...needles(state.stdout)];
  expect(all.flatMap(({ name, needle }) => (output.includes(needle) ? [name] : []))).toEqual([]);
  await home().on("kalaw", `rm ${secret}/signing && mv ${secret}/moved ${secret}/signing`);
  await home().up();
});

test("nor in the JSON of an update and of a preview, which have the debug messages of the SDK", async () => {
  await home().set("rotation", "3");
  const env = { PULUMI_ENABLE_STREAMING_JSON_PREVIEW: "true" };
  const preview = await home().stack.run(["preview", "--json"], { env });
  const up = await home().stack.run(["up", "--yes", "--skip-preview", "--json"]);
  // They come as events, each a line, and debug messages are among them.
  for (const { stdout } of [preview, up]) expect(stdout).toContain('"severity":"debug"');
  const state = await home().stack.run(["stack", "export", "--show-secrets"]);
  const all = [...secrets, ...needles(state.stdout)];
  for (const { stdout, stderr } of [preview, up]) {
    const inPlain = all.filter(({ needle }) => (stdout + stderr).includes(needle));
    expect(inPlain.map(({ name }) => name)).toEqual([]);
  }
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

test("the state has the helper's hash, and not its text", async () => {
  const { stdout } = await home().stack.run(["stack", "export"]);
  expect(stdout).toContain("kalaw-helper");
  for (const { path, text } of helperFiles) {
    const line = text.split("\n").reduce((a, b) => (b.length > a.length ? b : a));
    expect(line.length).toBeGreaterThan(40);
    // As it would stand in JSON.
    expect(stdout.includes(JSON.stringify(line).slice(1, -1)), path).toBe(false);
  }
});
