import { importLines } from "./import-lines.ts";
import type { Look } from "./look.ts";

/** What a person has to do once all is written, for a person. */
export function nextSteps(looks: readonly Pick<Look, "machine" | "found">[]): string {
  const missing = new Map(
    looks.flatMap(({ machine, found: { module, folder } }) =>
      module === undefined ? [] : [[machine.name, importLines(module, folder)] as const],
    ),
  );
  const owners = looks.filter(({ machine }) => machine.isDeployed);
  return [
    ...[...missing].flatMap(([name, lines]) => ["", `On ${name}:`, ...lines]),
    ...owners.flatMap(({ machine, found: { deployed } }) => [
      "",
      `${machine.name} is deployed by ${deployed}, so it has rebuild: { by: owner }: \`pulumi up\` says what to deploy.`,
    ]),
    "",
    "Next:",
    "  pulumi preview    shows what will be made, and changes nothing",
    "  pulumi up         asks, then does it",
    "  nixos-cache try   builds a path and fetches it",
  ].join("\n");
}
