import { mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { execa } from "execa";
import { checkout } from "./checkout.ts";
import { ProvisioningError } from "./provisioning-error.ts";
import type { Report } from "./report.ts";
import { atLeast, requiredGoVersion } from "./versions.ts";

const oldestGo = "1.21"; // the first that can fetch the Go that a go.mod asks for

/** A program among the Go modules that `dev/tools/<project>/go.mod` pins. */
export interface GoProgram {
  project: "pulumi" | "language-nodejs";
  package: string;
  version: string;
  /** What to call it to the user. */
  title: string;
}

/**
 * Compiles a program with the user's Go and the user's own Go caches.
 *
 * @param output - file to write
 * @throws ProvisioningError when Go is missing, too old, or fails; with Go's own last lines
 */
export async function buildGoProgram(
  program: GoProgram,
  output: string,
  report: Report,
): Promise<void> {
  const env = await goEnvironment(program.project);
  await mkdir(dirname(output), { recursive: true });
  const variable = "github.com/pulumi/pulumi/sdk/v3/go/common/version.Version";
  const ldflags = `-s -w -X ${variable}=${program.version}`;
  const go = execa("go", ["build", "-v", "-ldflags", ldflags, "-o", output, program.package], {
    cwd: join(checkout, "dev", "tools", program.project),
    env,
    stdin: "ignore",
    stdout: "ignore",
    buffer: { stderr: false },
    reject: false,
  });

  const started = Date.now();
  let compiled = 0;
  let downloaded = 0;
  const last: string[] = [];
  const progress = () => {
    const done = compiled ? `${compiled} packages compiled` : `${downloaded} modules downloaded`;
    report(`building ${program.title} ${program.version}: ${done}, ${elapsed(started)}`, true);
  };
  const clock = setInterval(progress, process.stderr.isTTY ? 1_000 : 20_000);
  try {
    for await (const line of go.iterable({ from: "stderr" })) {
      if (line.startsWith("go: downloading ")) downloaded++;
      else if (/^[\w.~-]+(\/[\w.~-]+)*$/.test(line)) compiled++;
      else last.push(line);
      if (last.length > 15) last.shift();
    }
  } finally {
    clearInterval(clock);
  }
  const result = await go;
  if (result.exitCode !== 0) {
    const reason = last.join("\n") || result.shortMessage;
    throw new ProvisioningError(
      `${program.title} ${program.version} could not be built with Go:\n${reason}`,
    );
  }
  report(`built ${program.title} ${program.version} in ${elapsed(started)}`);
}

/** Environment for `go`, in which no setting of the user's changes what comes out. */
async function goEnvironment(project: GoProgram["project"]): Promise<Record<string, string>> {
  const found = await execa("go", ["env", "GOVERSION"], {
    env: { GOTOOLCHAIN: "local", GOFLAGS: "-mod=readonly" },
    stdin: "ignore",
    reject: false,
  });
  const install = `install the Pulumi CLI, or Go ${oldestGo} or newer so that it can be built here.`;
  if (found.code === "ENOENT") {
    throw new ProvisioningError(`No Pulumi CLI, it cannot be downloaded, and no Go: ${install}`);
  }
  if (found.exitCode !== 0) {
    throw new ProvisioningError(`Go does not work: ${found.stderr || found.shortMessage}`);
  }
  const version = found.stdout.trim().replace(/^go/, "");
  if (!atLeast(version, oldestGo)) {
    throw new ProvisioningError(
      `No Pulumi CLI, it cannot be downloaded, and Go ${version} is too old: ${install}`,
    );
  }
  return {
    // An empty value would let `go env -w` settings through.
    GOFLAGS: "-mod=readonly -trimpath -buildvcs=false",
    GOWORK: "off",
    GOOS: process.platform === "win32" ? "windows" : process.platform,
    GOARCH: process.arch === "x64" ? "amd64" : process.arch,
    CGO_ENABLED: "0", // as the official build; no C compiler needed
    // Distributions switch this off, and their Go is often older than the go.mod asks for.
    ...(atLeast(version, requiredGoVersion(project)) ? {} : { GOTOOLCHAIN: "auto" }),
  };
}

function elapsed(since: number): string {
  const seconds = Math.round((Date.now() - since) / 1000);
  return seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}
