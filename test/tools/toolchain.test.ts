import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { cacheFolder } from "../../dev/tools/cache-folder.ts";
import { checkout } from "../../dev/tools/checkout.ts";
import { provisionCommandPlugin } from "../../dev/tools/command-plugin.ts";
import { buildGoProgram } from "../../dev/tools/go-build.ts";
import { provisionPulumi, pulumiFolder } from "../../dev/tools/pulumi.ts";
import { toolchain } from "../../dev/tools/toolchain.ts";
import { commandPluginVersion, pulumiVersion } from "../../dev/tools/versions.ts";
import { executable, languageHost } from "./executable.ts";

let folder: string;
const lines: string[] = [];
const report = (line: string) => void lines.push(line);
const plugin = () =>
  join("plugins", `resource-command-v${commandPluginVersion()}`, "pulumi-resource-command");

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "toolchain-"));
  lines.length = 0;
  vi.stubEnv("NIXOS_CACHE_TOOLS", join(folder, "cache"));
  vi.stubEnv("NIXOS_CACHE_COMMAND_PLUGIN", "");
  vi.stubEnv("PULUMI_HOME", join(folder, "home"));
  vi.stubEnv("PATH", "/usr/bin:/bin");
  const bin = join(pulumiFolder(), "bin");
  await executable(join(bin, "pulumi"), `echo ${pulumiVersion()}`);
  await executable(join(bin, "pulumi-language-nodejs"), languageHost);
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true, force: true });
});

async function onPath(name: string, version: string, host: boolean): Promise<string> {
  const bin = join(folder, name);
  await executable(join(bin, "pulumi"), `echo v${version}`);
  if (host) await executable(join(bin, "pulumi-language-nodejs"), languageHost);
  vi.stubEnv("PATH", `${process.env.PATH}${delimiter}${bin}`);
  return bin;
}

test("the cache is where the user says, else in the user's cache folder", () => {
  expect(cacheFolder({ NIXOS_CACHE_TOOLS: "/a/b" })).toBe("/a/b");
  expect(cacheFolder({ XDG_CACHE_HOME: "/c" })).toBe("/c/pulumi-nixos-cache");
  expect(cacheFolder({})).toMatch(/\/\.cache\/pulumi-nixos-cache$/);
});

test("what is in the cache is used, silently", async () => {
  expect(await provisionPulumi(report)).toEqual({
    bin: join(pulumiFolder(), "bin"),
    version: pulumiVersion(),
  });
  expect(lines).toEqual([]);
});

test("a CLI on PATH comes first, unless it is too old or has no language host", async () => {
  await onPath("old", "3.225.1", true);
  await onPath("alone", "3.260.0", false);
  // The host of "old" would be found on PATH for "alone": take that folder's away.
  await rm(join(folder, "old", "pulumi-language-nodejs"));
  expect((await provisionPulumi(report)).bin).toBe(join(pulumiFolder(), "bin"));
  const good = await onPath("good", "3.261.0", true);
  await rm(join(folder, "alone"), { recursive: true });
  expect(await provisionPulumi(report)).toEqual({ bin: good, version: "3.261.0" });
});

test("the language host may stand beside the file that a link on PATH points to", async () => {
  const real = join(folder, "real");
  await executable(join(real, "pulumi"), "echo v3.261.0");
  await executable(join(real, "pulumi-language-nodejs"), languageHost);
  const links = join(folder, "links");
  await mkdir(links);
  await symlink(join(real, "pulumi"), join(links, "pulumi"));
  vi.stubEnv("PATH", `${process.env.PATH}${delimiter}${links}`);
  expect((await provisionPulumi(report)).bin).toBe(links);
});

test("without Go the message says what to install", async () => {
  vi.stubEnv("PATH", join(folder, "nowhere"));
  const program = { project: "pulumi", package: "x", version: "1", title: "Pulumi CLI" } as const;
  await expect(buildGoProgram(program, join(folder, "out"), report)).rejects.toThrow(
    "No Pulumi CLI, it cannot be downloaded, and no Go: " +
      "install the Pulumi CLI, or Go 1.21 or newer so that it can be built here.",
  );
});

test("an old Go is refused; a failing one shows its last lines", async () => {
  const program = { project: "pulumi", package: "x", version: "1", title: "Pulumi CLI" } as const;
  const go = join(folder, "go", "go");
  vi.stubEnv("PATH", `${join(folder, "go")}:/usr/bin:/bin`);
  await executable(go, "echo go1.19.8");
  const build = () => buildGoProgram(program, join(folder, "out"), report);
  await expect(build()).rejects.toThrow("Go 1.19.8 is too old");
  await executable(
    go,
    'test "$1" = env && { echo go1.26.0; exit; }; echo no space left >&2; exit 1',
  );
  await expect(build()).rejects.toThrow("could not be built with Go:\nno space left");
});

test("the user's settings for Go do not reach the build", async () => {
  const program = { project: "pulumi", package: "x", version: "1", title: "Pulumi CLI" } as const;
  await executable(
    join(folder, "go", "go"),
    'test "$1" = env && { echo go1.22.0; exit; }; echo "$GOFLAGS|$GOTOOLCHAIN|$GOWORK" >&2; exit 1',
  );
  vi.stubEnv("PATH", `${join(folder, "go")}:/usr/bin:/bin`);
  vi.stubEnv("GOFLAGS", "-mod=vendor");
  vi.stubEnv("GOTOOLCHAIN", "local");
  vi.stubEnv("GOWORK", "/somewhere/go.work");
  await expect(buildGoProgram(program, join(folder, "out"), report)).rejects.toThrow(
    "-mod=readonly -trimpath -buildvcs=false|auto|off",
  );
});

test("an installed official plugin is used, and PULUMI_HOME left alone", async () => {
  await executable(join(folder, "home", plugin()), "true");
  expect(await provisionCommandPlugin("/nowhere", report)).toEqual({ kind: "official" });
  const { env } = await toolchain(report);
  expect(env).not.toHaveProperty("PULUMI_HOME");
  expect(lines).toEqual([]);
});

test("NIXOS_CACHE_COMMAND_PLUGIN names a folder with the official plugin", async () => {
  const named = join(folder, "it's here");
  vi.stubEnv("NIXOS_CACHE_COMMAND_PLUGIN", named);
  await expect(provisionCommandPlugin("/nowhere", report)).rejects.toThrow(
    "NIXOS_CACHE_COMMAND_PLUGIN: no executable pulumi-resource-command",
  );
  await executable(join(named, "pulumi-resource-command"), 'echo "official $1"');
  const { kind, path, home } = await provisionCommandPlugin("/nowhere", report);
  expect([kind, path]).toEqual(["official", named]);
  expect(execFileSync(join(home ?? "", plugin()), ["it is"]).toString()).toBe("official it is\n");
});

test("after a failed download the stand-in is used, and says so", async () => {
  const failed = `${commandPluginVersion()}-not-downloaded`;
  await mkdir(join(cacheFolder(), "command-plugin"));
  await writeFile(join(cacheFolder(), "command-plugin", failed), "");
  const found = await toolchain(report);
  expect(found.commandPlugin).toBe("stand-in");
  expect(lines).toEqual(["command plugin: stand-in (the official one could not be downloaded)"]);
  expect(found.env.PULUMI_HOME).toContain(join(folder, "cache"));
  expect(found.env.PATH?.split(delimiter)).toEqual([
    join(checkout, "node_modules", ".bin"),
    join(pulumiFolder(), "bin"),
    "/usr/bin",
    "/bin",
  ]);
});
