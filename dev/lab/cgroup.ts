import { existsSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { until } from "./until.ts";

const booted = "/run/systemd/system";

/**
 * The control group (cgroup v2) that all processes of one host live in. Its name, which holds the
 * lab's id, is what makes a process ours: no process ids are kept in files, so none can be stale.
 * Where systemd runs the computer it is a transient scope, so that neither a logout nor systemd's own
 * housekeeping ends the host.
 */
export class Cgroup {
  readonly path: string;
  private readonly name: string;

  constructor(name: string) {
    this.name = name;
    this.path = join(parent(), existsSync(booted) ? `${name}.scope` : name);
  }

  /** The names of the groups there are that begin with `prefix`. */
  static named(prefix: string): string[] {
    return readdirSync(parent())
      .filter((name) => name.startsWith(prefix))
      .map((name) => name.replace(/\.scope$/, ""));
  }

  /** What to put before a command so that it runs in this group. */
  async enter(): Promise<string[]> {
    if (existsSync(booted)) {
      const scope = ["--scope", "--quiet", "--collect", "--slice=system.slice"];
      return ["systemd-run", ...scope, `--unit=${this.name}`, "--property=Delegate=yes", "--"];
    }
    await mkdir(this.path, { recursive: true });
    return joining(this.path);
  }

  /** The processes of one group below this one, of none if it does not exist. */
  async processes(below: string): Promise<number[]> {
    const text = await readIfThere(join(this.path, below, "cgroup.procs"));
    return text.split("\n").filter(Boolean).map(Number);
  }

  /** Whether there is any process in the group. */
  async isPopulated(): Promise<boolean> {
    return (await readIfThere(join(this.path, "cgroup.events"))).includes("populated 1");
  }

  /** Ends every process in the group at once, as a pulled plug would, and removes the group. */
  async kill(): Promise<void> {
    try {
      writeFileSync(join(this.path, "cgroup.kill"), "1");
    } catch (error) {
      ignoreGone(error);
    }
    await until(async () => !(await this.isPopulated()), {
      seconds: 30,
      otherwise: `the processes of ${this.name} do not end`,
    });
    removeGroup(this.path);
    // On a computer that has both versions, systemd-nspawn makes the group in the old one too.
    const legacy = mounts().find(
      ({ type, options }) => type === "cgroup" && options.includes("name=systemd"),
    );
    if (legacy !== undefined) removeGroup(join(legacy.point, this.name));
  }
}

/** Puts the command after it into the group at `path`: for a group that something else made. */
export function joining(path: string): string[] {
  return ["sh", "-c", 'echo $$ >"$0/cgroup.procs" && exec "$@"', path];
}

/** Where cgroup v2 is mounted, if it is. */
export function cgroupMount(): string | undefined {
  return mounts().find(({ type }) => type === "cgroup2")?.point;
}

function parent(): string {
  const mount = cgroupMount();
  if (mount === undefined) throw new Error("cgroup v2 is not mounted on this computer");
  return existsSync(booted) ? join(mount, "system.slice") : mount;
}

function mounts(): { point: string; type: string; options: string }[] {
  return readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .filter(Boolean)
    .map((line) => {
      const [left = "", right = ""] = line.split(" - ");
      const [type = "", , options = ""] = right.split(" ");
      return { point: left.split(" ")[4] ?? "", type, options };
    });
}

function removeGroup(path: string): void {
  try {
    for (const entry of readdirSync(path, { withFileTypes: true }))
      if (entry.isDirectory()) removeGroup(join(path, entry.name));
    rmdirSync(path);
  } catch (error) {
    ignoreGone(error);
  }
}

async function readIfThere(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    ignoreGone(error);
    return "";
  }
}

// ENODEV is how a group answers that was removed between the opening of its file and the reading.
function ignoreGone(error: unknown): void {
  const code = (error as NodeJS.ErrnoException).code;
  if (code !== "ENOENT" && code !== "ENODEV") throw error;
}
