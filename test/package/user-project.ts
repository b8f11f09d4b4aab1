import { existsSync, readFileSync } from "node:fs";
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { homedir, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { execa } from "execa";
import { afterAll, beforeAll } from "vitest";
import { type Outcome, outcome } from "../../dev/lab/outcome.ts";
import { checkout } from "../../dev/tools/checkout.ts";
import { toolchain } from "../../dev/tools/toolchain.ts";

/** What `pulumi new typescript` writes with all defaults (Pulumi CLI 3.259), but for its program. */
const template = {
  "package.json": `{
    "name": "home",
    "main": "index.ts",
    "devDependencies": {
        "@types/node": "^18",
        "typescript": "^5.0.0"
    },
    "dependencies": {
        "@pulumi/pulumi": "^3.113.0"
    }
}
`,
  "tsconfig.json": `{
    "compilerOptions": {
        "strict": true,
        "outDir": "bin",
        "target": "es2020",
        "module": "commonjs",
        "moduleResolution": "node",
        "sourceMap": true,
        "experimentalDecorators": true,
        "pretty": true,
        "noFallthroughCasesInSwitch": true,
        "noImplicitReturns": true,
        "forceConsistentCasingInFileNames": true
    },
    "files": [
        "index.ts"
    ]
}
`,
  "Pulumi.yaml": `name: home
description: A minimal TypeScript Pulumi program
runtime:
  name: nodejs
  options:
    packagemanager: npm
`,
} as const;

/** A user's projects, with this package installed. */
export class UserProjects {
  /** The package's. */
  static readonly version: string = JSON.parse(
    readFileSync(join(checkout, "package.json"), "utf8"),
  ).version;
  /** Has `node_modules`; each project is a folder in it. */
  readonly folder: string;
  /** The folder of the package. */
  readonly package: string;
  readonly #env: Record<string, string>;

  constructor(folder: string, packageFolder: string, env: Record<string, string>) {
    this.folder = folder;
    this.package = resolve(folder, packageFolder);
    this.#env = env;
  }

  /** The file that `npm pack` makes. */
  get tarball(): string {
    return join(this.folder, `pulumi-nixos-cache-${UserProjects.version}.tgz`);
  }

  /**
   * Makes a project of the template's files, of which `files` replaces some.
   * @returns its folder
   */
  async make(name: string, files: Record<string, string>): Promise<string> {
    const project = join(this.folder, name);
    for (const [file, text] of Object.entries({ ...template, ...files })) {
      await mkdir(join(project, file, ".."), { recursive: true });
      await writeFile(join(project, file), text);
    }
    return project;
  }

  /** Makes a project of the files of an example. */
  async makeExample(name: string): Promise<string> {
    const folder = join(checkout, "examples", name);
    const texts = (await readdir(folder)).map(
      async (file) => [file, await readFile(join(folder, file), "utf8")] as const,
    );
    return this.make(name, Object.fromEntries(await Promise.all(texts)));
  }

  /** Runs a command in a project, with the checkout's tools on PATH. */
  run(project: string, argv: readonly string[], env: Record<string, string> = {}) {
    return outcome(argv, { cwd: project, env: { ...this.#env, ...env } });
  }

  /**
   * `pulumi preview` of a project, on a new stack of its own.
   * @param options.plugin whether the engine finds the installed package as the plugin `nixos-cache`
   */
  async preview(project: string, { plugin = false } = {}): Promise<Outcome> {
    await mkdir(join(project, "state"), { recursive: true });
    const env = {
      PULUMI_BACKEND_URL: `file://${join(project, "state")}`,
      PULUMI_CONFIG_PASSPHRASE: "of no use elsewhere",
      ...(plugin && { PULUMI_HOME: await this.homeWithPlugin() }),
    };
    await this.run(project, ["pulumi", "stack", "init", "test"], env);
    return this.run(project, ["pulumi", "preview", "--stack", "test"], env);
  }

  /**
   * A PULUMI_HOME in which the engine finds our plugin, and the others as ever. It runs what the language host runs of a plugin
   * with a PulumiPlugin.yaml, since the one that can be built from Go modules (3.68) does not run plugins.
   */
  async homeWithPlugin(): Promise<string> {
    const home = join(this.folder, "pulumi-home");
    const name = "pulumi-resource-nixos-cache";
    const folder = join(home, "plugins", `resource-nixos-cache-v${UserProjects.version}`);
    await mkdir(folder, { recursive: true });
    const known = join(this.#env.PULUMI_HOME || join(homedir(), ".pulumi"), "plugins");
    // Copies: the engine does not follow links there.
    if (existsSync(known)) await cp(known, join(home, "plugins"), { recursive: true });
    const runPlugin = join(this.folder, "node_modules/@pulumi/pulumi/cmd/run-plugin");
    const run = `cd '${this.package}' && exec node '${runPlugin}' '${this.package}' "$@"`;
    await writeFile(join(folder, name), `#!/bin/sh\n${run}\n`, { mode: 0o755 });
    return home;
  }
}

/**
 * Makes a folder for projects, for the tests of this file.
 * @param from `tarball`, the checkout is packed and installed, as by a user; `checkout`, projects have its `node_modules`, and
 *   the plugin is the checkout itself, which takes no time
 */
export function useUserProjects(from: "tarball" | "checkout"): () => UserProjects {
  let projects: UserProjects | undefined;
  let folder: string;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "user-projects-"));
    const { env } = await toolchain(() => {});
    if (from === "tarball") {
      projects = new UserProjects(folder, "node_modules/pulumi-nixos-cache", env);
      await installTarball(projects);
    } else {
      await symlink(join(checkout, "node_modules"), join(folder, "node_modules"));
      projects = new UserProjects(folder, checkout, env);
    }
  });

  afterAll(() => rm(folder, { recursive: true, force: true }));

  return () => {
    if (projects === undefined) throw new Error("the package is installed before the first test");
    return projects;
  };
}

async function installTarball({ folder, tarball }: UserProjects): Promise<void> {
  const build = join(folder, "checkout");
  await buildAside(build);
  const pack = ["pack", "--ignore-scripts", "--pack-destination", folder];
  await execa("npm", pack, { cwd: build });
  await writeFile(join(folder, "package.json"), template["package.json"]);
  // These exactly, so that a new release of one of them is no news on an old checkout.
  const sdk = await Promise.all(["@pulumi/pulumi", "typescript"].map(asInCheckout));
  const quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"];
  await execa("npm", ["install", ...quiet, tarball, ...sdk], { cwd: folder });
}

/** A package with the version that the checkout has, as npm takes it. */
async function asInCheckout(name: string): Promise<string> {
  const file = join(checkout, "node_modules", name, "package.json");
  return `${name}@${JSON.parse(await readFile(file, "utf8")).version}`;
}

/** Builds a copy of the checkout's files, as they are now, in a folder. */
async function buildAside(folder: string): Promise<void> {
  const list = ["ls-files", "--cached", "--others", "--exclude-standard", "-z"];
  const { stdout } = await execa("git", list, { cwd: checkout });
  await mkdir(folder);
  await execa("cp", ["--parents", ...stdout.split("\0").filter(Boolean), folder], {
    cwd: checkout,
  });
  await execa("ln", ["-s", join(checkout, "node_modules"), folder]);
  await execa("npm", ["run", "build"], { cwd: folder, preferLocal: true, localDir: checkout });
}
