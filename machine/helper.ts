import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { asRoot } from "./as-root.ts";
import { quoted } from "./quoted.ts";

/** The folders of the helper on this computer, by their names on a machine: its steps, and the NixOS module. */
export const helperFolders = {
  steps: fileURLToPath(new URL("helper", import.meta.url)),
  nixos: fileURLToPath(new URL("../nixos", import.meta.url)),
};

/** All files of the helper: their paths on a machine, below the helper's folder, and their texts. */
export const helperFiles: readonly { path: string; text: string }[] = Object.entries(
  helperFolders,
).flatMap(([name, folder]) =>
  readdirSync(folder)
    .sort()
    .map((file) => ({
      path: `${name}/${file}`,
      text: readFileSync(`${folder}/${file}`, "utf8"),
    })),
);

/** The list by which a machine checks that the helper came whole, in the format of sha256sum(1). */
export const helperChecksums = helperFiles
  .map(({ path, text }) => `${sha256(text)}  ${path}\n`)
  .join("");

/** Identifies the helper: the SHA-256 of that list, in hex. */
export const helperVersion = sha256(helperChecksums);

const moduleText = helperFiles
  .flatMap(({ path, text }) => (path.startsWith("nixos/") ? [text] : []))
  .join("");

/** Identifies the NixOS module: 12 digits of a SHA-256. A new module is a change of every machine's settings. */
export const moduleVersion = sha256(moduleText).slice(0, 12);

/** Identifies a role of a system, as a machine's observation does (`runs`): the SHA-256 of this module and the role's settings. */
export function roleVersion(settings: string): string {
  return sha256(moduleText + settings);
}

/**
 * Where the helper stands on a machine: root's beside our other files; of a user with sudo, who may not write there,
 * in their home, which is where their commands run.
 */
export function helperFolder(user = "root"): string {
  return user === "root" ? "/var/lib/nixos-cache/helper" : ".nixos-cache-helper";
}

/** The shell command for one call of the helper, which any login shell can run, fish included. */
export function callHelper(words: string, user = "root"): string {
  return asRoot(`sh -c '${runHelper}' ${main(user)} ${words}`, user);
}

/**
 * The same, to undo something. Where there is no helper any more, nothing of ours is left to undo; but for settings,
 * which would stay in use.
 */
export function callHelperToUndo(words: string, user = "root"): string {
  const script =
    `if test -e "$0"; then ${runHelper}; fi; cat >/dev/null; ` +
    "test ! -e /run/current-system/etc/nixos-cache/default.nix && test ! -e /etc/nixos/nixos-cache/host || { " +
    'echo "the helper is missing on this machine: run pulumi up first" >&2; exit 1; }';
  return asRoot(`sh -c ${quoted(script)} ${main(user)} ${words}`, user);
}

/**
 * Runs main.sh, which ends the shell. Of a full disk the copy says nothing and leaves empty files (command plugin
 * 1.2.1): an empty main.sh must not be a step that succeeds.
 */
const runHelper = '. "$0"; echo "the helper is not whole: run pulumi up" >&2; exit 1';

function main(user: string): string {
  return `${helperFolder(user)}/steps/main.sh`;
}

/** A shell script that makes the helper's files in the folder that is its first argument. */
export const unpackHelper = [
  'cd "$1" && mkdir steps nixos',
  ...[...helperFiles, { path: "SHA256SUMS", text: helperChecksums }].map(
    ({ path, text }) => `cat >${path} <<'END_OF_FILE'\n${text}END_OF_FILE`,
  ),
  "",
].join("\n");

/**
 * The shell command for one call of the helper that leaves nothing on the machine: its stdin is `unpackHelper`, then
 * the call's own input. The helper that stands there is called if it is this one and whole; any other does not matter.
 */
export function callOnce(words: string, user = "root", unpack = unpackHelper): string {
  const length = Buffer.byteLength(unpack);
  const script =
    `if (cd ${helperFolder(user)} && echo "${helperVersion}  SHA256SUMS" | sha256sum --check --status && ` +
    "sha256sum --check --status SHA256SUMS) 2>/dev/null; then " +
    `head -c ${length} >/dev/null; exec sh ${main(user)} "$@"; fi; ` +
    "umask 077; d=$(mktemp -d /run/nixos-cache-call.XXXXXX) && " +
    `head -c ${length} >$d/unpack && sh $d/unpack $d && ` +
    'sh $d/steps/main.sh "$@"; s=$?; rm -rf $d; exit $s';
  return asRoot(`sh -c ${quoted(script)} once ${words}`, user);
}

function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
