/** An option of the NixOS module, as dev/options-page/options.nix says it. */
export interface DocumentedOption {
  /** Its whole name; `<name>` stands for what the user chooses. */
  name: string;
  /** The type in nixpkgs' words. */
  type: string;
  /** Markdown, with nixpkgs' roles such as {file}`…`. */
  description: string;
  /** As Nix writes it; null, it has to be given. */
  default: string | null;
  example: string | null;
}

const head = `# Options of the NixOS module

Generated from [\`nixos/\`](../../nixos) by \`npm test -- test/module/options -u\`. With \`pulumi up\` the stack's settings set them;
[Deploy the settings yourself](../how-to/deploy-the-settings-yourself.md) says when you do.
`;

/** The page docs/reference/options.md: every option with its type, its default and what it does. */
export function optionsPage(options: readonly DocumentedOption[]): string {
  return [head, ...options.map(section)].join("\n");
}

function section({ name, type, description, default: standard, example }: DocumentedOption) {
  return [
    `## \`${name}\`\n`,
    `${plainMarkdown(description.trim())}\n`,
    `- type: ${patternsAsCode(type)}`,
    standard === null ? "- required" : `- default: \`${standard}\``,
    ...(example === null ? [] : [`- example: \`${example}\``]),
    "",
  ].join("\n");
}

/** Without the roles, which only nixpkgs' own manual knows. */
function plainMarkdown(text: string): string {
  return text.replaceAll(/\{[a-z]+\}`/g, "`");
}

function patternsAsCode(type: string): string {
  return type.replace(/(?<=matching the pattern ).+$/, "`$&`");
}
