import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { cacheFolder } from "../../dev/tools/cache-folder.ts";

const execute = promisify(execFile);

/**
 * A folder that holds Debian's openssh-server, unpacked and not installed: no service starts, no user
 * is made. It is laid over `/usr` in the test server's own mount namespace only.
 */
export async function opensshServer(): Promise<string> {
  const folder = join(cacheFolder(), "openssh-server");
  if (existsSync(join(folder, "usr/sbin/sshd"))) return folder;
  await mkdir(cacheFolder(), { recursive: true });
  const fresh = await mkdtemp(`${folder}-`);
  try {
    const download = () =>
      execute("apt-get", ["download", "openssh-server", "libwrap0"], { cwd: fresh });
    await download().catch(async () => {
      // A fresh machine has no package lists yet.
      await execute("apt-get", ["update"]);
      await download();
    });
    for (const file of await readdir(fresh))
      await execute("dpkg", ["-x", file, fresh], { cwd: fresh });
    await rm(folder, { recursive: true, force: true });
    await rename(fresh, folder);
  } finally {
    await rm(fresh, { recursive: true, force: true });
  }
  return folder;
}
