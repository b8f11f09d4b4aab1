import { existsSync } from "node:fs";
import { appendFile, readFile, writeFile } from "node:fs/promises";
import { relative } from "node:path";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { pulumi } from "../pulumi.ts";

/**
 * Makes sure that a stack file without settings is there, or none.
 * @throws Error in words for a person
 */
export async function refuseToOverwrite(file: string): Promise<void> {
  if (existsSync(file) && /^config:/m.test(await readFile(file, "utf8"))) {
    throw new Error(
      `${file} has settings already, and init overwrites nothing: edit it, or name another stack with --stack`,
    );
  }
}

const backend = z.looseObject({ url: z.string().default("") });

/**
 * Makes sure of what would otherwise fail when all else is done: a backend, and a passphrase where one is needed.
 * @throws PulumiError, or Error in words for a person
 */
export async function checkBackend(): Promise<void> {
  const { url } = backend.parse(JSON.parse(await pulumi(["whoami", "--json"])));
  const { PULUMI_CONFIG_PASSPHRASE: passphrase, PULUMI_CONFIG_PASSPHRASE_FILE: file } = process.env;
  // Pulumi's own service encrypts by itself; an empty passphrase is one.
  if (!/^https?:/.test(url) && passphrase === undefined && !file) {
    throw new Error(
      "Pulumi encrypts the secrets of the stack with a passphrase, and has none: write one to a file that only you can read, " +
        "and set PULUMI_CONFIG_PASSPHRASE_FILE to that file",
    );
  }
}

/** A stack that is not there yet. */
export interface NewProject {
  /** Name of the stack. */
  stack: string;
  /** Name of its file. */
  file: string;
  /** The file's text, but for what Pulumi writes there itself. */
  text: string;
  /** The operator's private key; undefined, the SSH agent has it. */
  key: string | undefined;
}

/**
 * Writes the project, unless there is one, and the stack with its file.
 * @throws PulumiError, or Error in words for a person
 */
export async function writeProject({ stack, file, text, key }: NewProject): Promise<void> {
  if (!existsSync("Pulumi.yaml")) await writeFile("Pulumi.yaml", await project(), { flag: "wx" });
  const stacks = JSON.parse(await pulumi(["stack", "ls", "--json"])) as { name: string }[];
  const isThere = stacks.some(({ name }) => name === stack || name.endsWith(`/${stack}`));
  // It writes the line for the passphrase into the stack file.
  await pulumi(isThere ? ["stack", "select", stack] : ["stack", "init", stack]);
  await refuseToOverwrite(file);
  await appendFile(file, text);
  if (key !== undefined) {
    await pulumi(["config", "set", "--stack", stack, "--secret", "nixos-cache:privateKey"], key);
  }
}

/** This program's own project file, with its path as seen from the current folder. */
async function project(): Promise<string> {
  const text = await readFile(new URL("../../Pulumi.yaml", import.meta.url), "utf8");
  const extension = import.meta.url.slice(import.meta.url.lastIndexOf("."));
  const program = fileURLToPath(new URL(`../../index${extension}`, import.meta.url));
  return text.replace(/^main: .*$/m, `main: ${relative(process.cwd(), program)}`);
}
