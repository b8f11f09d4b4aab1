import { plainWords } from "./plain-words.ts";
import { quoted } from "./quoted.ts";
import { shellWord } from "./shell-word.ts";

/** What a machine is told, whatever its role. All of it may be left out. */
export interface MachineOptions {
  rebuild?:
    | {
        /**
         * Who deploys the machine's settings: `pulumi` writes them to /etc/nixos and rebuilds, `owner` deploys them with
         * the rest of the configuration (colmena, deploy-rs, comin, clan, `nixos-rebuild --target-host`).
         * @default "pulumi", and a machine that somebody else deploys is left alone
         */
        by?: "pulumi" | "owner" | undefined;
        /** What `nixos-rebuild` builds in /etc/nixos. @default a flake, if there is one */
        from?: "flake" | "channel" | undefined;
        /** Of a flake: the entry of `nixosConfigurations`. @default the machine's host name */
        attribute?: string | undefined;
      }
    | undefined;
  /** Seconds in which a rebuilt machine has to be reached again; otherwise it goes back. @default 60 */
  confirmWithin?: number | undefined;
  /** Refuse a rebuild that would change more on the machine than the cache. @default false */
  onlyOurs?: boolean | undefined;
  /** Take the machine over from another stack. @default false */
  takeOver?: boolean | undefined;
}

/** Defaults for options that the user left out. */
export const defaultOptions = { confirmWithin: 60, onlyOurs: false, takeOver: false } as const;

/** The options as words for the helper (machine/helper/options.sh); none for a default. */
export function optionWords({
  rebuild,
  confirmWithin,
  onlyOurs,
  takeOver,
}: MachineOptions): string {
  const { by, from, attribute } = rebuild ?? {};
  return [
    ...(by === undefined ? [] : [`--by ${shellWord(by)}`]),
    ...(from === undefined ? [] : [`--from ${shellWord(from)}`]),
    ...(attribute === undefined ? [] : [`--attribute ${quoted(attribute)}`]),
    ...(confirmWithin === undefined || confirmWithin === defaultOptions.confirmWithin
      ? []
      : [`--confirm-within ${shellWord(String(confirmWithin))}`]),
    // The text "false" is neither.
    ...(onlyOurs === true ? ["--only-ours"] : []),
    ...(takeOver === true ? ["--take-over"] : []),
  ].join(" ");
}

/** Why a step is taken again, as words that the helper ignores: they are for the person who reads the preview. */
export function reasonWords(reason: string): string {
  return `--because '${plainWords(reason, 400)}'`;
}
