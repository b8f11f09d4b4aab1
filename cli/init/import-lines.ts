import { posix } from "node:path";

/** Where an import line can go. */
export interface Module {
  /** The file, an absolute path on the machine. */
  file: string;
  /** The line of its `imports`, from 1; 0, it has none. */
  line: number;
}

/**
 * What to write into that very file, so that the configuration imports our folder. The form builds before the folder is
 * there, and after it is gone; it needs no argument of the module.
 * @param folder of the configuration, an absolute path
 */
export function importLines({ file, line }: Module, folder: string): string[] {
  const relative = posix.relative(posix.dirname(file), posix.join(folder, "nixos-cache"));
  const path = relative.startsWith("../") ? relative : `./${relative}`;
  const list = `if builtins.pathExists ${path} then [ ${path} ] else [ ]`;
  if (posix.basename(file) === "flake.nix") {
    return [`Add to ${file}, to the list modules of this machine:`, `  { imports = ${list}; }`];
  }
  return line === 0
    ? [`Add to ${file}, inside its outermost { }:`, `  imports = ${list};`]
    : [
        `In ${file} add this before the ; that ends the list of imports, which begins in line ${line}:`,
        `  ++ (${list})`,
      ];
}
