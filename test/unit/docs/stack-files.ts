import { parse } from "yaml";
import { sshKeypairOf } from "../../ssh-keys-of-seeds.ts";
import type { Block, Page } from "./page.ts";

/**
 * What a page says of settings, each as a stack that has them: whole stack files, entries of machines, connections,
 * `pulumi config set`.
 * @param commands of the page
 * @returns as Pulumi hands them over, for `parseStackConfig`
 * @throws when a YAML block is none of these
 */
export function settingsWrittenIn(
  { blocks }: Page,
  commands: readonly string[][],
): Record<string, string>[] {
  const shown = blocks
    .filter(({ language, text }) => language === "yaml" && !isProject(text))
    .map(settingsOf);
  const set = commands.map(settingsSetBy).filter((settings) => settings !== undefined);
  return [...shown, ...set];
}

/** A Pulumi.yaml, which has no settings. */
const isProject = (text: string) => parse(text).runtime !== undefined;

/** The settings of a home in which somebody calls `pulumi config set`; undefined, it is another command. */
function settingsSetBy(words: readonly string[]): Record<string, string> | undefined {
  const [, setting, value = "from stdin"] =
    /^pulumi config set (?:--secret )?(\S+)(?: ([^<]\S*))?/.exec(words.join(" ")) ??
    /^npm run pulumi -- config set (\S+) (\S+)/.exec(words.join(" ")) ??
    [];
  if (setting === undefined) return undefined;
  const name = setting.startsWith("nixos-cache:") ? setting : `nixos-cache:${setting}`;
  return { ...asTexts({ servers: { kalaw: anyMachine() } }), [name]: value };
}

/** The settings of a stack with what a block shows. */
function settingsOf({ text }: Block): Record<string, string> {
  const { config, resources, connection, kalaw, pai, ...rest } = parse(withValues(text));
  if (config !== undefined) {
    const settings = Object.entries(config).map(([name, value]) => [name, asText(value)]);
    return Object.fromEntries(settings);
  }
  // A program in YAML: the arguments of its one component.
  if (resources !== undefined) return asTexts(resources.home.properties);
  if (connection !== undefined) return asTexts({ servers: { kalaw: { connection } } });
  if (kalaw !== undefined) return asTexts({ servers: { kalaw } });
  if (pai !== undefined) return asTexts({ servers: { kalaw: anyMachine() }, clients: { pai } });
  throw new Error(`neither a stack file nor a part of one: ${Object.keys(rest).join(", ")}`);
}

/** With values where the page leaves them out. */
function withValues(text: string): string {
  return text
    .replaceAll(/(?<=\bconnection: )…/g, () => JSON.stringify(anyMachine().connection))
    .replaceAll(/ssh-ed25519 AAAA\S*…(?: \w+@\w+)?/g, hostKey);
}

function anyMachine() {
  const key = hostKey();
  return { connection: { host: `machine${keys}.lan`, hostKey: key } };
}

let keys = 0;

/** Each time another one. */
function hostKey(): string {
  keys += 1;
  return sshKeypairOf(new Uint8Array(32).fill(keys)).publicKey;
}

function asTexts(values: Record<string, unknown>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(values).map(([name, value]) => [`nixos-cache:${name}`, asText(value)]),
  );
}

/** As Pulumi hands a setting over. */
function asText(value: unknown): string {
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}
