import { readFileSync } from "node:fs";
import { join } from "node:path";
import { checkout } from "./checkout.ts";

// Each version stands in one file only, the one that its own tool reads; here they are read from it.

function find(file: string, pattern: RegExp): string {
  const found = pattern.exec(readFileSync(join(checkout, file), "utf8"))?.[1];
  if (!found) throw new Error(`${file} has no match for ${pattern}`);
  return found;
}

/** Pulumi CLI that we download or build, from dev/tools/pulumi/go.mod. */
export function pulumiVersion(): string {
  return find("dev/tools/pulumi/go.mod", /^\s*github\.com\/pulumi\/pulumi\/pkg\/v3 v(\S+)/m);
}

/** Node.js language host that we build, from dev/tools/language-nodejs/go.mod. */
export function languageHostVersion(): string {
  return find(
    "dev/tools/language-nodejs/go.mod",
    /^\s*github\.com\/pulumi\/pulumi\/sdk\/v3 v(\S+)/m,
  );
}

/** Oldest Pulumi CLI that the program runs on, from Pulumi.yaml. */
export function requiredPulumiVersion(): string {
  return find("Pulumi.yaml", /^requiredPulumiVersion:\s*["']?>=\s*([\d.]+)/m);
}

/** `command` plugin, the same as its SDK's exact version in package.json. */
export function commandPluginVersion(): string {
  return find("package.json", /"@pulumi\/command": "(\d+\.\d+\.\d+)"/);
}

/** Go that a go.mod asks for. */
export function requiredGoVersion(project: "pulumi" | "language-nodejs"): string {
  return find(`dev/tools/${project}/go.mod`, /^go (\S+)/m);
}

/** Whether dotted version `a` is at least `b`. Anything after the third number is ignored. */
export function atLeast(a: string, b: string): boolean {
  const numbers = (version: string) =>
    (/\d+(?:\.\d+){0,2}/.exec(version)?.[0] ?? "0").split(".").map(Number);
  const [left, right] = [numbers(a), numbers(b)];
  for (let i = 0; i < 3; i++) {
    const difference = (left[i] ?? 0) - (right[i] ?? 0);
    if (difference !== 0) return difference > 0;
  }
  return true;
}
