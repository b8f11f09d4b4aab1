import { mkdir, readdir, rename } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";

/** What a lab has in its folder only while it is up. */
const passing = ["net", "hosts"];
/** The same of a host: where its root is put together, and what it said. */
const passingOfHost = ["base", "root", "work", "console.log"];

/**
 * Copies all that a lab is made of, the stack on it too, from its folder to another one, in which a `Lab` of the
 * same hosts then finds it. The hosts must be off. They keep their addresses, keys and machine ids, so to a stack
 * the copy is the same lab; copies do not meet, as labs never do.
 */
export async function copyLab(from: string, to: string): Promise<void> {
  await copy(from, to, passing);
  for (const host of await readdir(join(from, "hosts"))) {
    const target = join(to, "hosts", host);
    await copy(join(from, "hosts", host), `${target}.partial`, passingOfHost);
    await rename(`${target}.partial`, target);
  }
}

/** Copies what is in a folder, with all that the files of a host's root have: owners, links, overlayfs's marks. */
async function copy(from: string, to: string, without: string[]): Promise<void> {
  const names = (await readdir(from)).filter((name) => !without.includes(name));
  await mkdir(to, { recursive: true, mode: 0o700 });
  const files = names.map((name) => join(from, name));
  if (files.length > 0) await execa("cp", ["--archive", "--reflink=auto", "--", ...files, to]);
}
