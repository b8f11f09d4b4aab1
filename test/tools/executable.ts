import { mkdir, writeFile } from "node:fs/promises";
import { dirname } from "node:path";

/** Writes a small shell program. */
export async function executable(file: string, script: string): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, `#!/bin/sh\n${script}\n`, { mode: 0o755 });
}

/** A program that says what the real language host's help does. */
export const languageHost = "echo '  -tracing string' >&2";
