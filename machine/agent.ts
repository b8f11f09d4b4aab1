import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";

const ours = (path: string) => readFileSync(new URL(path, import.meta.url), "utf8");

/** The NixOS module, as it will stand in `/etc/nixos/nixos-cache/default.nix`. */
export const nixosModule = ours("../nixos/default.nix");

/** The module's version: the first 12 digits of its SHA-256, so that a new module is a change of settings. */
export const moduleVersion = sha256(nixosModule).slice(0, 12);

/** Where the helper stands on a machine: root's, outside every folder that Nix copies to its store. */
export const agentPath = "/var/lib/nixos-cache/agent";

/**
 * The whole helper: one POSIX sh script, of the parts beside this file, that carries the NixOS module with it.
 */
export const agentScript = [
  "#!/bin/sh",
  ours("agent.sh"),
  "print_module() {",
  "  cat <<'END_OF_MODULE'",
  nixosModule.trimEnd(),
  "END_OF_MODULE",
  "}",
  "",
  ...["files.sh", "rebuild.sh", "signing.sh", "access.sh", "identity.sh", "steps.sh"].map(ours),
].join("\n");

const folder = agentPath.slice(0, agentPath.lastIndexOf("/"));

/**
 * The shell command that puts its stdin, `agentScript`, in place: whole, checked, by one rename.
 * Any login shell can run it, fish included: to that shell it is `sh`, `-c` and one quoted word.
 */
export const installAgent =
  `sh -c 'umask 077 && mkdir -p ${folder} && chmod 700 ${folder} && cat >${agentPath}.$$ && ` +
  `echo "${sha256(agentScript)}  ${agentPath}.$$" | sha256sum --check --status && ` +
  `chmod 700 ${agentPath}.$$ && mv -f ${agentPath}.$$ ${agentPath} || { rm -f ${agentPath}.$$; exit 1; }'`;

/** The shell command that takes the helper away again, and what is left with it. */
export const removeAgent = `sh -c 'if test -e ${agentPath}; then exec ${agentPath} remove; else cat >/dev/null; fi'`;

function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
