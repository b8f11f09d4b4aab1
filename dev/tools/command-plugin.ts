import { createHash } from "node:crypto";
import { existsSync, realpathSync, statSync } from "node:fs";
import { mkdir, rename, rm, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { execa } from "execa";
import { cacheFolder } from "./cache-folder.ts";
import { checkout } from "./checkout.ts";
import { canDownload } from "./download.ts";
import { executablesOn } from "./installed-pulumi.ts";
import { ProvisioningError } from "./provisioning-error.ts";
import type { Report } from "./report.ts";
import { commandPluginVersion } from "./versions.ts";

const program = "pulumi-resource-command";
const installTimeout = 300_000; // ms
const forgetFailureAfter = 3_600_000; // ms; a start need not try the download each time

/** The `command` plugin that the engine will run. */
export interface CommandPlugin {
  kind: "official" | "stand-in";
  /** Folder that holds it; none when the engine finds the official one by itself. */
  path?: string;
  /**
   * Value for PULUMI_HOME with which the engine finds it. Not PATH: the engine warns at every run
   * about a plugin that it finds there.
   */
  home?: string;
}

/**
 * Provides the `command` plugin: the official one where it is installed or can be downloaded, else
 * the stand-in of this checkout. `$NIXOS_CACHE_COMMAND_PLUGIN` may name a folder with the official
 * one.
 *
 * @param bin - folder of the Pulumi CLI, which does the download
 * @throws ProvisioningError when `$NIXOS_CACHE_COMMAND_PLUGIN` holds no plugin
 */
export async function provisionCommandPlugin(bin: string, report: Report): Promise<CommandPlugin> {
  const standIn = join(checkout, "dev", "command-stand-in");
  const named = process.env.NIXOS_CACHE_COMMAND_PLUGIN;
  if (named) {
    const path = resolve(named);
    if (executablesOn(path, program).length === 0) {
      throw new ProvisioningError(
        `NIXOS_CACHE_COMMAND_PLUGIN: no executable ${program} in ${path}. ` +
          "Name the folder that holds it, or leave the variable out.",
      );
    }
    return { kind: "official", path, home: await homeWith(path) };
  }
  // The engine prefers one on PATH to all others.
  const onPath = executablesOn(process.env.PATH ?? "", program)[0];
  if (onPath) {
    const path = dirname(realpathSync(onPath));
    return { kind: path === standIn ? "stand-in" : "official", path: dirname(onPath) };
  }
  if (installed() || (await install(bin, report))) return { kind: "official" };
  report("command plugin: stand-in (the official one could not be downloaded)");
  return { kind: "stand-in", path: standIn, home: await homeWith(standIn) };
}

/** Whether the engine has it already, judged as the engine does: by the folder's name. */
function installed(): boolean {
  const home = process.env.PULUMI_HOME || join(homedir(), ".pulumi");
  const folder = join(home, "plugins", `resource-command-v${commandPluginVersion()}`);
  return executablesOn(folder, program).length > 0 && !existsSync(`${folder}.partial`);
}

async function install(bin: string, report: Report): Promise<boolean> {
  const version = commandPluginVersion();
  const failed = join(cacheFolder(), "command-plugin", `${version}-not-downloaded`);
  const failedAt = statSync(failed, { throwIfNoEntry: false })?.mtimeMs;
  if (failedAt !== undefined && Date.now() - failedAt < forgetFailureAfter) return false;
  if (await canDownload()) {
    report(`downloading the command plugin ${version}`);
    const pulumi = join(bin, "pulumi");
    const done = await execa(pulumi, ["plugin", "install", "resource", "command", version], {
      env: { PULUMI_SKIP_UPDATE_CHECK: "true" },
      stdin: "ignore",
      timeout: installTimeout,
      reject: false,
    });
    if (done.exitCode === 0 && installed()) {
      await rm(failed, { force: true });
      return true;
    }
    const reason = done.stderr.trim().split("\n").at(-1) || done.shortMessage;
    report(`command plugin ${version}: not downloaded (${reason})`);
  }
  await mkdir(dirname(failed), { recursive: true });
  await writeFile(failed, "tried in vain when this file was written; tried again an hour later\n");
  return false;
}

/** A PULUMI_HOME, one for each plugin folder, whose `command` plugin is the one in `folder`. */
async function homeWith(folder: string): Promise<string> {
  const key = createHash("sha256").update(folder).digest("hex").slice(0, 12);
  const home = join(cacheFolder(), "command-plugin", `home-${key}`);
  const plugin = join(home, "plugins", `resource-command-v${commandPluginVersion()}`, program);
  if (!existsSync(plugin)) {
    await mkdir(dirname(plugin), { recursive: true });
    const quoted = `'${join(folder, program).replaceAll("'", `'\\''`)}'`;
    const unfinished = `${plugin}.${process.pid}`;
    await writeFile(unfinished, `#!/bin/sh\nexec ${quoted} "$@"\n`, { mode: 0o755 });
    await rename(unfinished, plugin);
  }
  return home;
}
