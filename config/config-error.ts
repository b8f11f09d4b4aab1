/** The prefix of every setting in the stack file, `Pulumi.<stack>.yaml`. */
export const namespace = "nixos-cache";

/** What a person wrote wrong: one line for each mistake, each with the setting's name and what to write. */
export class ConfigError extends Error {
  override name = "ConfigError";
}
