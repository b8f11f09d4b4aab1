import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { gzipSync, strToU8 } from "fflate";

const ours = (path: string) => readFileSync(new URL(path, import.meta.url), "utf8");

/** The NixOS module, as it will stand in `/etc/nixos/nixos-cache/default.nix`. */
export const nixosModule = ours("../nixos/default.nix");

/** The module's version: the first 12 digits of its SHA-256, so that a new module is a change of settings. */
export const moduleVersion = sha256(nixosModule).slice(0, 12);

/** Where the helper stands on a machine: root's, outside every folder that Nix copies to its store. */
export const agentPath = "/var/lib/nixos-cache/agent";

/** What the helper of one machine is told once and for all, the same in both roles of the machine. */
export interface MachineOptions {
  /** What `nixos-rebuild` builds; without it the helper looks for a flake, with this host's name. */
  rebuild?: { from?: "flake" | "channel" | undefined; attribute?: string | undefined } | undefined;
  /** Seconds in which a new system has to be confirmed, or the machine goes back. @default 60 */
  confirmWithin?: number | undefined;
  /** Whether a rebuild that would change more than our part is refused. @default false */
  onlyOurs?: boolean | undefined;
}

/** What a machine is told that is told nothing. */
export const machineDefaults = { confirmWithin: 60, onlyOurs: false } as const;

/**
 * The whole helper: one POSIX sh script, of the parts beside this file, that carries the machine's options and
 * the NixOS module with it.
 */
export function agentScript({
  rebuild = {},
  confirmWithin = machineDefaults.confirmWithin,
  onlyOurs = machineDefaults.onlyOurs,
}: MachineOptions = {}): string {
  return [
    "#!/bin/sh",
    `rebuild_from=${quoted(rebuild.from ?? "")}`,
    `attribute=${quoted(rebuild.attribute ?? "")}`,
    `confirm_within=${confirmWithin}`,
    `only_ours=${onlyOurs ? "yes" : "no"}`,
    ...helper,
  ].join("\n");
}

const helper = [
  ours("agent.sh"),
  "print_module() {",
  "  cat <<'END_OF_MODULE'",
  nixosModule.trimEnd(),
  "END_OF_MODULE",
  "}",
  "",
  ...[
    "files.sh",
    "rebuild.sh",
    "switch.sh",
    "confirm.sh",
    "signing.sh",
    "access.sh",
    "identity.sh",
    "observe.sh",
    "plan.sh",
    "steps.sh",
  ].map(ours),
];

const folder = agentPath.slice(0, agentPath.lastIndexOf("/"));

/**
 * The helper's text as `installAgent` takes it: compressed, in base64, for the engine writes all of a stack's state
 * at each operation, with this in it twice a machine. The same bytes on every computer and with every Node, unlike
 * those of `node:zlib`, or another operator's `pulumi up` would find a change.
 */
export function packed(script: string): string {
  return Buffer.from(gzipSync(strToU8(script), { level: 9, mtime: 0 })).toString("base64");
}

/**
 * The shell command that puts its stdin, the helper's text `script` when `packed`, in place: whole, checked, by one
 * rename. Any login shell can run it, fish included: to that shell it is `sh`, `-c` and one quoted word.
 */
export function installAgent(script: string): string {
  return (
    `sh -c 'umask 077 && mkdir -p ${folder} && chmod 700 ${folder} && base64 -d | gzip -d >${agentPath}.$$ && ` +
    `echo "${sha256(script)}  ${agentPath}.$$" | sha256sum --check --status && ` +
    `chmod 700 ${agentPath}.$$ && mv -f ${agentPath}.$$ ${agentPath} && ` +
    `echo ${sha256(script)} >${agentPath}.sha256 || { rm -f ${agentPath}.$$; exit 1; }'`
  );
}

/**
 * The shell command for one call of the helper that leaves nothing on the machine, whatever helper stands there:
 * its stdin is the helper's text `script`, then the call's own input.
 */
export function oneOff(script: string, words: string): string {
  return (
    "sh -c 'umask 077; d=$(mktemp -d /run/nixos-cache.XXXXXX) && " +
    `head -c ${Buffer.byteLength(script)} >$d/agent && sh $d/agent ${words}; s=$?; rm -rf $d; exit $s'`
  );
}

/** The shell command that takes the helper away again, and what is left with it. */
export const removeAgent = `sh -c 'if test -e ${agentPath}; then exec ${agentPath} remove; else cat >/dev/null; fi'`;

/** Identifies a helper: the SHA-256 of its text, in hex. */
export function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

/** One word of a POSIX shell, whatever is in it. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
