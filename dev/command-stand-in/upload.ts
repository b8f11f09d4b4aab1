import { readdir, readFile, stat } from "node:fs/promises";
import { basename, join, posix } from "node:path";
import { contents, entries, refuseUri } from "./archive-entries.ts";
import { localMessage } from "./local-message.ts";
import { type Archive, type Asset, isArchive } from "./properties.ts";
import type { Sftp } from "./sftp.ts";

/** Copies an asset or archive to a path on the machine; what else is there stays. */
export async function upload(source: Asset | Archive, to: string, sftp: Sftp): Promise<void> {
  refuseUri(source);
  if (source.path !== undefined) await copyPath(source.path, to, sftp);
  else if (isArchive(source)) await copyEntries(source, to, sftp);
  else await copyText(source, to, sftp);
}

async function copyText(asset: Asset, to: string, sftp: Sftp): Promise<void> {
  if ((await sftp.stat(to)) === "folder") {
    throw new Error(
      `remote path ${to} is a directory; when using a text asset, remotePath must be a file path`,
    );
  }
  await makeParent(to, sftp);
  const data = await contents(asset);
  await sftp.create(to, (file) =>
    naming(`failed to write text content to remote path ${to}`, sftp.write(file, data)),
  );
}

/** Each member of the archive becomes a file below `to`. */
async function copyEntries(archive: Archive, to: string, sftp: Sftp): Promise<void> {
  const found = await sftp.stat(to);
  if (found === "file") {
    throw new Error(
      `remote path ${to} exists but is not a directory; cannot copy asset archive contents`,
    );
  }
  if (!found) await naming(`failed to create remote directory ${to}`, sftp.mkdirAll(to));
  const files = entries(archive);
  for (;;) {
    const { done, value: entry } = await naming("failed to read asset archive entry", files.next());
    if (done) return;
    const path = posix.join(to, entry.name);
    await makeParent(path, sftp);
    await sftp.create(path, (file) =>
      naming(`failed to copy archive entry to ${path}`, write(file, entry.data, sftp)),
    );
  }
}

/** Copies as `cp -r` does: into a folder that exists; a folder's contents only, where the path ends in a slash. */
async function copyPath(from: string, to: string, sftp: Sftp): Promise<void> {
  const isFolder = await stat(from).then(
    (stats) => stats.isDirectory(),
    (error) => {
      throw new Error(localMessage({ ...error, syscall: "open" }, from), { cause: error });
    },
  );
  const found = await sftp.stat(to);
  if (!isFolder) {
    if (!found) await makeParent(to, sftp);
    return copyFile(from, found === "folder" ? posix.join(to, basename(from)) : to, sftp);
  }
  if (!found) await naming(`failed to create remote directory ${to}`, sftp.mkdirAll(to));
  await copyFolder(from, from.endsWith("/") ? to : posix.join(to, basename(from)), sftp);
}

async function copyFolder(from: string, to: string, sftp: Sftp): Promise<void> {
  const found = await sftp.stat(to);
  if (found === "file") throw new Error(`remote path ${to} exists but is not a directory`);
  if (!found) await naming(`failed to create remote directory ${to}`, sftp.mkdir(to));
  const members = await readdir(from, { withFileTypes: true });
  for (const member of members.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const copy = member.isDirectory() ? copyFolder : copyFile;
    await copy(join(from, member.name), posix.join(to, member.name), sftp);
  }
}

async function copyFile(from: string, to: string, sftp: Sftp): Promise<void> {
  await sftp.create(to, (file) =>
    naming(
      `failed to copy file ${from} to remote path ${to}`,
      readFile(from).then(
        (data) => write(file, data, sftp),
        (error) => {
          throw new Error(localMessage(error, from), { cause: error });
        },
      ),
    ),
  );
}

const packet = 32 * 1024; // bytes

/**
 * Writes as the official plugin does, which overlooks it when a file of less than one packet cannot be
 * written: on a full disk the file is empty then, and the copy has succeeded.
 */
async function write(file: Buffer, data: Buffer, sftp: Sftp): Promise<void> {
  const written = sftp.write(file, data);
  await (data.length < packet ? written.catch(() => undefined) : written);
}

function makeParent(path: string, sftp: Sftp): Promise<void> {
  // Not dirname: for Go, what ends in a slash is its own parent.
  const parent = posix.normalize(path.slice(0, path.lastIndexOf("/") + 1) || ".");
  const making = sftp.mkdirAll(parent.replace(/(?<=.)\/$/, ""));
  return naming(`failed to create parent directories for ${path}`, making);
}

/** Puts what was tried before the message of what failed. */
async function naming<T>(tried: string, step: Promise<T>): Promise<T> {
  try {
    return await step;
  } catch (error) {
    throw new Error(`${tried}: ${(error as Error).message}`, { cause: error });
  }
}
