import { readFile } from "node:fs/promises";
import type { Report } from "../tools/report.ts";
import type { Host, HostKind } from "./host.ts";

/** What a host is made of, if it is not there yet. */
export interface Making {
  kind: HostKind;
  /** The newest base tree of its suite. */
  newest: string;
  /** Names of the lab's other hosts. */
  others: readonly string[];
  /** The public key's file of the operator whom it lets in. */
  operatorKeyFile: string;
}

/** Makes a host if it is missing, boots it if it is off, and returns when it has booted. */
export async function upHost(
  host: Host,
  { kind, newest, others, operatorKeyFile }: Making,
  report: Report,
): Promise<void> {
  const tree = await host.baseTree();
  if (tree === undefined) {
    report(`${host.name}: making it`);
    const operatorKey = await readFile(operatorKeyFile, "utf8");
    await host.make({ baseTree: newest, kind, others, operatorKey });
  } else if (tree !== newest)
    report(
      `${host.name}: made by an older version, or from another suite; for a new one, take the lab down first`,
    );
  if ((await host.leader()) === undefined) {
    report(`${host.name}: booting`);
    await host.start();
  }
  await host.firstSwitch(report);
  const state = await host.booted();
  const failed = await host.exec(["systemctl", "--failed", "--plain", "--no-legend"], {});
  report(`${host.name}: ${state}${state === "running" ? "" : `\n${failed.stdout}`}`);
}
