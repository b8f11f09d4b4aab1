import { execa } from "execa";
import type { Case, Declared } from "./declared-cases.ts";

/** What components with these arguments register, in a program of their own (declared-cases.ts). */
export async function declare(cases: Case[]): Promise<Declared> {
  const program = `${import.meta.dirname}/declared-cases.ts`;
  // It ends like every program of Pulumi's that has declared what will never be registered: with exit status 1.
  const { stdout } = await execa(process.execPath, [program], {
    input: JSON.stringify(cases),
    reject: false,
  });
  return JSON.parse(stdout);
}
