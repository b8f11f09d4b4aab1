import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { lstat, mkdir, readdir, readFile, rename, rm, symlink, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { execa } from "execa";
import { cacheFolder } from "../tools/cache-folder.ts";
import type { Report } from "../tools/report.ts";
import { debianKeyring } from "./debian-keyring.ts";
import { madeFrom } from "./host.ts";
import { withLock } from "./lock.ts";
import { type Suite, suites } from "./suite.ts";

const nixos = join(import.meta.dirname, "..", "nixos-stand-in");

// Without what a throwaway host never reads.
const mmdebstrapOptions = [
  "--variant=minbase",
  // Its own user cannot enter a cache folder in root's home.
  '--aptopt=APT::Sandbox::User "root"',
  // A mirror that has stood still for weeks will do; what it has is still signed.
  '--aptopt=Acquire::Check-Valid-Until "false"',
  ...["man", "doc", "info", "locale", "lintian"].map(
    (unread) => `--dpkgopt=path-exclude=/usr/share/${unread}/*`,
  ),
];

/**
 * The Debian tree with the stand-in for NixOS that all hosts of a suite are overlays of, built when its recipe is
 * new, kept in the tools' cache. A tree is never changed once it has its final name.
 *
 * @param lab the lab's id and folder, noted so that its tree is not taken away while it has hosts.
 * @returns the tree's folder.
 */
export async function baseTree(
  suite: Suite,
  lab: { id: string; folder: string },
  report: Report,
): Promise<string> {
  const cache = join(cacheFolder(), "lab");
  await mkdir(cache, { recursive: true });
  const packages = (await readFile(join(nixos, "packages"), "utf8")).split("\n").filter(Boolean);
  const standIn = await contents(nixos);
  const paths = suites.map((each) => {
    const debian = join(cache, `debian-${hash(each, ...mmdebstrapOptions, ...packages)}`);
    return { each, debian, tree: join(cache, `nixos-${hash(basename(debian), ...standIn)}`) };
  });
  const { debian, tree } = paths.find(({ each }) => each === suite) as (typeof paths)[number];
  const waiting = "Another lab is building the hosts' base tree; waiting for it";

  await withLock(cache, { report, waiting }, async () => {
    for (const name of await readdir(cache))
      if (name.startsWith("partial-")) await remove(join(cache, name));
    if (!existsSync(tree)) {
      if (!existsSync(debian)) {
        report(`Building a Debian ${suite} tree for the lab's hosts (about half a minute)`);
        await atomically(debian, (partial) => debootstrap(suite, packages, partial, report));
      }
      report("Installing the lab's stand-in for NixOS into it");
      await atomically(tree, async (partial) => {
        await execa("cp", ["--archive", "--reflink=auto", debian, partial]);
        await contained([join(nixos, "install.sh"), partial], report);
      });
    }
    await mkdir(`${tree}.labs`, { recursive: true });
    await rm(join(`${tree}.labs`, lab.id), { force: true });
    await symlink(lab.folder, join(`${tree}.labs`, lab.id));
    await prune(
      cache,
      paths.flatMap((path) => [path.debian, path.tree]),
    );
  });
  return tree;
}

async function debootstrap(
  suite: Suite,
  packages: string[],
  target: string,
  report: Report,
): Promise<void> {
  const options = [
    ...mmdebstrapOptions,
    `--keyring=${debianKeyring()}`,
    `--include=${packages.join(",")}`,
  ];
  await contained(["mmdebstrap", ...options, suite, target], report);
  // mmdebstrap copies this computer's; the lab has no name server.
  await writeFile(join(target, "etc/resolv.conf"), "");
}

/** Runs a builder that ends, mounts and children included, when this process does. */
async function contained(argv: string[], report: Report): Promise<void> {
  const [, ...args] = ["setpriv", "--pdeathsig=KILL", "unshare", "--mount", "--propagation=slave"];
  args.push("--pid", "--fork", "--kill-child", "--mount-proc", "--", ...argv);
  const child = execa("setpriv", args, { stdin: "ignore", all: true, reject: false });
  for await (const line of child.iterable({ from: "all" })) report(`  ${line}`);
  const { exitCode, all } = await child;
  if (exitCode !== 0) throw new Error(`${basename(argv[0] ?? "")} failed:\n${lastLines(all)}`);
}

async function atomically(target: string, build: (partial: string) => Promise<void>) {
  const partial = join(target, "..", `partial-${basename(target)}`);
  await build(partial);
  await rename(partial, target);
}

/** Takes away the trees of older recipes that no lab has hosts on. */
async function prune(cache: string, keep: string[]): Promise<void> {
  for (const name of await readdir(cache)) {
    const path = join(cache, name);
    if (!/^(debian|nixos)-[0-9a-f]+$/.test(name) || keep.includes(path)) continue;
    if (await isInUse(path)) continue;
    await remove(path);
    await remove(`${path}.labs`);
  }
}

async function isInUse(tree: string): Promise<boolean> {
  const labs = existsSync(`${tree}.labs`) ? await readdir(`${tree}.labs`) : [];
  for (const lab of labs.map((id) => join(`${tree}.labs`, id))) {
    // It may have asked for the tree and not have made its hosts yet.
    if (Date.now() - (await lstat(lab)).mtimeMs < 3_600_000) return true;
    const hosts = join(lab, "hosts");
    for (const name of existsSync(hosts) ? await readdir(hosts) : [])
      if ((await madeFrom(join(hosts, name))) === tree) return true;
  }
  return false;
}

async function remove(path: string): Promise<void> {
  await execa("rm", ["-rf", "--one-file-system", "--", path]);
}

/** The files of `folder`, each as its path and its content, in a fixed order. */
async function contents(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((e) => join(e.parentPath, e.name));
  const parts = files.sort().map(async (file) => [file.slice(folder.length), await readFile(file)]);
  return (await Promise.all(parts)).flat().map(String);
}

function hash(...parts: string[]): string {
  return createHash("sha256").update(JSON.stringify(parts)).digest("hex").slice(0, 16);
}

function lastLines(text: string | undefined): string {
  return (text ?? "").split("\n").slice(-20).join("\n");
}
