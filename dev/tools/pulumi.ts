import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { cacheFolder } from "./cache-folder.ts";
import { checkout } from "./checkout.ts";
import { canDownload, downloadPulumi } from "./download.ts";
import { buildGoProgram } from "./go-build.ts";
import { type InstalledPulumi, pulumiOn } from "./installed-pulumi.ts";
import { place } from "./placing.ts";
import { ProvisioningError } from "./provisioning-error.ts";
import type { Report } from "./report.ts";
import { languageHostVersion, pulumiVersion } from "./versions.ts";

/**
 * Finds the Pulumi CLI and its Node.js language host: on PATH, else in our cache, else from the
 * official installer, else built from Go modules. Fast, and silent, once it is there.
 *
 * @returns `bin`, the folder to have on PATH, and the CLI's version
 * @throws ProvisioningError saying what to install
 */
export async function provisionPulumi(report: Report): Promise<InstalledPulumi> {
  const onPath = await pulumiOn(process.env.PATH ?? "");
  if (onPath) return onPath;

  const folder = pulumiFolder();
  const exists = () => existsSync(folder);
  if (!exists()) {
    await place(folder, `Pulumi CLI ${pulumiVersion()}`, report, exists, async (unfinished) => {
      if (!(await download(unfinished, report))) await build(unfinished, report);
      // What does not run here must not get into the cache.
      if (!(await pulumiOn(join(unfinished, "bin")))) {
        throw new ProvisioningError(
          `Pulumi CLI ${pulumiVersion()} does not run on this computer: install it by hand.`,
        );
      }
    });
  }
  return { bin: join(folder, "bin"), version: pulumiVersion() };
}

/** Where ours is kept, keyed by everything that goes into it. Its presence means it is whole. */
export function pulumiFolder(): string {
  const hash = createHash("sha256").update(`${process.platform}-${process.arch}`);
  for (const project of ["pulumi", "language-nodejs"]) {
    for (const file of ["go.mod", "go.sum"]) {
      hash.update(readFileSync(join(checkout, "dev", "tools", project, file)));
    }
  }
  const key = hash.digest("hex").slice(0, 12);
  return join(cacheFolder(), "pulumi", `${pulumiVersion()}-${key}`);
}

async function download(folder: string, report: Report): Promise<boolean> {
  const version = pulumiVersion();
  if (!(await canDownload())) {
    report(`Pulumi CLI ${version}: the official download cannot be reached, building it instead`);
    return false;
  }
  report(`downloading Pulumi CLI ${version}`);
  const failure = await downloadPulumi(version, folder);
  if (failure === undefined) return true;
  report(`Pulumi CLI ${version}: the official installer failed (${failure}), building it instead`);
  await rm(join(folder, "bin"), { recursive: true, force: true });
  return false;
}

async function build(folder: string, report: Report): Promise<void> {
  report("the build takes a few minutes, once");
  await buildGoProgram(
    {
      project: "pulumi",
      package: "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi",
      version: pulumiVersion(),
      title: "Pulumi CLI",
    },
    join(folder, "bin", "pulumi"),
    report,
  );
  await buildGoProgram(
    {
      project: "language-nodejs",
      package: "github.com/pulumi/pulumi/sdk/v3/nodejs/cmd/pulumi-language-nodejs",
      version: languageHostVersion(),
      title: "Pulumi's Node.js language host",
    },
    join(folder, "bin", "pulumi-language-nodejs"),
    report,
  );
}
