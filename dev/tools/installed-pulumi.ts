import { accessSync, constants, realpathSync } from "node:fs";
import { delimiter, dirname, join, resolve } from "node:path";
import { execa } from "execa";
import { atLeast, requiredPulumiVersion } from "./versions.ts";

/** A Pulumi CLI that the program can run on, with its language host. */
export interface InstalledPulumi {
  /** Folder that holds `pulumi`. */
  bin: string;
  version: string;
}

/** Executables of that name on `path`, in order. */
export function executablesOn(path: string, name: string): string[] {
  return path
    .split(delimiter)
    .filter((folder) => folder !== "")
    .map((folder) => resolve(folder, name))
    .filter(isExecutable);
}

/** The first Pulumi CLI on `path` that is new enough and has its language host, if there is one. */
export async function pulumiOn(path: string): Promise<InstalledPulumi | undefined> {
  for (const pulumi of executablesOn(path, "pulumi")) {
    const version = await versionOf(pulumi);
    if (!version || !atLeast(version, requiredPulumiVersion())) continue;
    // The engine looks on PATH first, then beside the real file.
    const hosts = [
      join(dirname(pulumi), "pulumi-language-nodejs"),
      join(dirname(realpathSync(pulumi)), "pulumi-language-nodejs"),
      ...executablesOn(path, "pulumi-language-nodejs"),
    ];
    for (const host of hosts) {
      if (await works(host)) return { bin: dirname(pulumi), version };
    }
  }
  return undefined;
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false; // missing or not ours to run: either way not a candidate
  }
}

async function versionOf(pulumi: string): Promise<string | undefined> {
  const run = await execa(pulumi, ["version"], {
    env: { PULUMI_SKIP_UPDATE_CHECK: "true" },
    stdin: "ignore",
    timeout: 10_000,
    reject: false,
  });
  return run.exitCode === 0 ? /^v?(\d+\.\d+\.\d+\S*)/m.exec(run.stdout)?.[1] : undefined;
}

/** A language host has no version to ask for; its help shows that it starts on this computer. */
async function works(host: string): Promise<boolean> {
  if (!isExecutable(host)) return false;
  const run = await execa(host, ["-h"], { stdin: "ignore", timeout: 10_000, reject: false });
  return /-tracing\b/.test(`${run.stdout}${run.stderr}`);
}
