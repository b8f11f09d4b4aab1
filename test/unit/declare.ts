import { execa } from "execa";
import type { Case, Declared } from "./declared-cases.ts";

/** What components with these arguments register, in a program of their own (declared-cases.ts). */
export async function declare(cases: Case[]): Promise<Declared> {
  const program = `${import.meta.dirname}/declared-cases.ts`;
  const { stdout } = await execa(process.execPath, [program], { input: JSON.stringify(cases) });
  return JSON.parse(stdout);
}
