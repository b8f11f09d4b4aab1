import { readdir, readFile, stat } from "node:fs/promises";
import { join, posix } from "node:path";
import { localMessage } from "./local-message.ts";
import { type Archive, type Asset, isArchive } from "./properties.ts";

export interface Entry {
  /** Its path in the archive. */
  name: string;
  data: Buffer;
}

const packed = /\.(tar|tgz|tar\.gz|zip|jar)$/;
/** The folder that Pulumi leaves out of archives. */
const bookkeeping = ".pulumi";

/** The files of an archive in the official order; folders are only in their names. */
export async function* entries({ assets = {} }: Archive): AsyncGenerator<Entry> {
  for (const [name, member] of Object.entries(assets).sort(([a], [b]) => (a < b ? -1 : 1))) {
    if (!isArchive(member)) yield { name, data: await contents(member) };
    else if (member.path === undefined) {
      refuseUri(member);
      for await (const entry of entries(member)) yield below(name, entry);
    } else {
      if (packed.test(member.path)) {
        throw unsupported("unpacks no archive inside another");
      }
      for await (const entry of walk(member.path)) yield below(name, entry);
    }
  }
}

/** The bytes of one asset. */
export async function contents(asset: Asset): Promise<Buffer> {
  refuseUri(asset);
  const { path, text = "" } = asset;
  if (path === undefined) return Buffer.from(text);
  try {
    return await readFile(path);
  } catch (error) {
    const reason = localMessage(error as NodeJS.ErrnoException, path);
    throw new Error(`failed to open asset file '${path}': ${reason}`, { cause: error });
  }
}

export function refuseUri({ uri }: Asset | Archive): void {
  if (uri !== undefined) throw unsupported("fetches nothing from a URI");
}

function unsupported(what: string): Error {
  return new Error(`the stand-in for the command plugin ${what}: install the official plugin`);
}

/** Files in a folder and below it. A link to a file gives that file, a link to a folder nothing. */
async function* walk(folder: string): AsyncGenerator<Entry> {
  const members = await readdir(folder, { withFileTypes: true });
  for (const member of members.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const { name } = member;
    if (name === bookkeeping) continue;
    const path = join(folder, name);
    if (member.isDirectory()) {
      for await (const entry of walk(path)) yield below(name, entry);
    } else if (!member.isSymbolicLink() || !(await stat(path)).isDirectory()) {
      yield { name, data: await contents({ path }) };
    }
  }
}

function below(folder: string, { name, data }: Entry): Entry {
  return { name: posix.join(folder, name), data };
}
