import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, rename, rm, stat, utimes } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { briefFolder } from "../../dev/lab/brief-folder.ts";
import { copyLab } from "../../dev/lab/copy-lab.ts";
import { madeFrom } from "../../dev/lab/host.ts";
import { Lab } from "../../dev/lab/lab.ts";
import { type LabHost, sortsByName } from "../../dev/lab/lab-host.ts";
import { withLock } from "../../dev/lab/lock.ts";
import { realTools } from "../../dev/lab/real-tools.ts";
import { LabStack } from "../../dev/lab/stack.ts";
import { cacheFolder } from "../../dev/tools/cache-folder.ts";
import { checkout } from "../../dev/tools/checkout.ts";
import type { Toolchain } from "../../dev/tools/toolchain.ts";

/**
 * How far a home has come: `switch`, its hosts have had their first `nixos-rebuild switch` and there is a stack for
 * them; `up`, the stack has also been brought up once, with the settings that it begins with.
 */
export type Stage = "switch" | "up";

export interface HomeRecipe {
  hosts: readonly (string | LabHost)[];
  after: Stage;
  tools: Toolchain;
}

const quiet = () => {};
const keptFor = 2 * 3600 * 1000;

/**
 * A lab with its stack, off, as a folder to copy from (see `copyLab`). It is made once for each content of this
 * checkout that matters to it and kept in the tools' cache; who needs it meanwhile waits.
 */
export async function homeSnapshot(recipe: HomeRecipe): Promise<string> {
  const homes = join(cacheFolder(), "homes");
  const folder = join(homes, `after-${recipe.after}-${await recipeHash(recipe)}`);
  const snapshot = join(folder, "lab");
  await mkdir(folder, { recursive: true });
  await withLock(folder, { report: quiet, waiting: "" }, async () => {
    if (!(await isUsable(snapshot))) {
      await make(recipe, snapshot);
      await prune(homes);
    }
    // When it was last used.
    await utimes(folder, new Date(), new Date());
  });
  return snapshot;
}

async function make(recipe: HomeRecipe, target: string): Promise<void> {
  const { hosts, after, tools } = recipe;
  const lab = new Lab(await briefFolder("nixos-cache-snapshot-"), hosts);
  try {
    if (after === "up")
      await copyLab(await homeSnapshot({ ...recipe, after: "switch" }), lab.folder);
    await lab.up(quiet);
    const stack = new LabStack(lab, tools);
    await stack.init();
    if (after === "up") await stack.run(["up", "--yes", "--skip-preview"]);
    await lab.shutDown(quiet);
    const partial = `${target}.partial`;
    for (const old of [target, partial]) await rm(old, { recursive: true, force: true });
    await copyLab(lab.folder, partial);
    await rename(partial, target);
  } finally {
    await lab.down(quiet);
    await rm(lab.folder, { recursive: true, force: true });
  }
}

/** Whether it is there, and so is the base tree that its hosts were made from, not a later one of the same name. */
async function isUsable(snapshot: string): Promise<boolean> {
  if (!existsSync(snapshot)) return false;
  for (const host of await readdir(join(snapshot, "hosts"))) {
    const tree = await madeFrom(join(snapshot, "hosts", host));
    if (tree === undefined || !existsSync(tree)) return false;
    if ((await stat(tree)).birthtimeMs > (await stat(snapshot)).birthtimeMs) return false;
  }
  return true;
}

/** Takes away what nobody has used for a while: most are of contents that this checkout no longer has. */
async function prune(homes: string): Promise<void> {
  for (const name of await readdir(homes)) {
    const { mtimeMs } = await stat(join(homes, name));
    if (Date.now() - mtimeMs > keptFor)
      await rm(join(homes, name), { recursive: true, force: true });
  }
}

/** A hash of everything that a home depends on. */
async function recipeHash({ hosts, after, tools }: HomeRecipe): Promise<string> {
  const hash = createHash("sha256");
  const given = [
    after,
    [...sortsByName(hosts)],
    tools.pulumiVersion,
    tools.commandPlugin,
    realTools(),
  ];
  hash.update(JSON.stringify(given));
  for (const file of await filesThatMatter(after)) {
    const content = await readFile(join(checkout, file)).catch(() => "deleted");
    hash.update(`\0${file}\0`).update(content);
  }
  return hash.digest("hex").slice(0, 16);
}

/** The checkout's files but for those that we know not to matter, so that a new folder is not forgotten. */
async function filesThatMatter(after: Stage): Promise<string[]> {
  const list = ["ls-files", "--cached", "--others", "--exclude-standard"];
  const { stdout } = await execa("git", list, { cwd: checkout });
  const ground = /^(dev\/|test\/system\/home|package-lock\.json$)/;
  const idle = /^(test|docs|cli|dev\/bench)\/|\.md$/;
  return [...new Set(stdout.split("\n"))]
    .filter((file) => ground.test(file) || (after === "up" && !idle.test(file)))
    .filter((file) => file !== "" && !file.startsWith("dev/bench/"))
    .sort();
}
