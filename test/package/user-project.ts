import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
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

/** A user's projects, with this package installed from a tarball as from the registry. */
export class UserProjects {
  /** Has `node_modules`; each project is a folder in it. */
  readonly folder: string;
  readonly tarball: string;
  readonly #env: Record<string, string>;

  constructor(folder: string, tarball: string, env: Record<string, string>) {
    this.folder = folder;
    this.tarball = tarball;
    this.#env = env;
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

  /** Runs a command in a project, with the checkout's tools on PATH. */
  run(project: string, argv: readonly string[], env: Record<string, string> = {}) {
    return outcome(argv, { cwd: project, env: { ...this.#env, ...env } });
  }

  /** `pulumi preview` of a project, on a new stack of its own. */
  async preview(project: string): Promise<Outcome> {
    await mkdir(join(project, "state"), { recursive: true });
    const env = {
      PULUMI_BACKEND_URL: `file://${join(project, "state")}`,
      PULUMI_CONFIG_PASSPHRASE: "of no use elsewhere",
    };
    await this.run(project, ["pulumi", "stack", "init", "test"], env);
    return this.run(project, ["pulumi", "preview", "--stack", "test"], env);
  }
}

/** Packs this checkout and installs it, as a user would, for the tests of this file. */
export function useUserProjects(): () => UserProjects {
  let projects: UserProjects | undefined;
  let folder: string;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "user-projects-"));
    const { env } = await toolchain(() => {});
    const npm = { cwd: folder, env };
    const quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"];
    // Without its scripts: several test files may pack at once, and `dist` is one.
    const build = join(folder, "checkout");
    await buildAside(build);
    await execa("npm", ["pack", "--ignore-scripts", "--pack-destination", folder], {
      ...npm,
      cwd: build,
    });
    const [tarball = ""] = (await readdir(folder)).filter((file) => file.endsWith(".tgz"));
    await writeFile(join(folder, "package.json"), template["package.json"]);
    await execa("npm", ["install", ...quiet, `./${tarball}`], npm);
    projects = new UserProjects(folder, join(folder, tarball), env);
  });

  afterAll(() => rm(folder, { recursive: true, force: true }));

  return () => {
    if (projects === undefined) throw new Error("the package is installed before the first test");
    return projects;
  };
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
