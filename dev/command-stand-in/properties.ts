// How property values travel between the engine and a plugin: JSON in which an object with the
// signature key is a special value. Source: pulumi/sdk/proto and sdk/nodejs/runtime/rpc.

const signature = "4dabf18193072939515e22adb298388d";
const secretSignature = "1b47061264138c4ac30d75fd1eb44270";
const assetSignature = "c44067f5952c0a294b673a41bacd8c17";
const archiveSignature = "0def7320c3a5731c473e5ecbe6d01bc7";

/** What stands for a value that a preview does not know yet. */
export const unknown = "04da6b54-80e4-46f7-96ec-b56ff0331ba9";
const unknowns = new Set([
  unknown,
  "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",
  "3eeb2bf0-c639-47a8-9e75-3b44932eb421",
  "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",
  "030794c1-ac77-496b-92df-f27374a8bd58",
  "e48ece36-62e2-4504-bad9-02848725956a",
  "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",
]);

export type Properties = Record<string, unknown>;

/** True for a plain object: no array, and none of the special values. */
export function isObject(value: unknown): value is Properties {
  return (
    typeof value === "object" && value !== null && !Array.isArray(value) && !(signature in value)
  );
}

export function isUnknown(value: unknown): boolean {
  return typeof value === "string" && unknowns.has(value);
}

function isSigned(value: unknown, by: string): boolean {
  return typeof value === "object" && value !== null && (value as Properties)[signature] === by;
}

function isSecret(value: unknown): value is { value: unknown } {
  return isSigned(value, secretSignature);
}

/** An asset: one file. The engine adds the hash; in a diff and of an old state it sends nothing else. */
export interface Asset {
  hash?: string;
  text?: string;
  path?: string;
  uri?: string;
}

/** An archive: a folder or packed file, or assets and archives by name. The hash as of an asset. */
export interface Archive {
  hash?: string;
  assets?: Record<string, Asset | Archive>;
  path?: string;
  uri?: string;
}

export function isAsset(value: unknown): value is Asset {
  return isSigned(value, assetSignature);
}

export function isArchive(value: unknown): value is Archive {
  return isSigned(value, archiveSignature);
}

/** Marks a value secret; one that is stays as it is. */
export function secret(value: unknown): unknown {
  return isSecret(value) ? value : { [signature]: secretSignature, value };
}

/** The value itself, secret or not. */
export function exposed(value: unknown): unknown {
  return isSecret(value) ? exposed(value.value) : value;
}

/** Changes the value inside and keeps it as secret as it was. */
export function inside(value: unknown, change: (value: unknown) => unknown): unknown {
  return isSecret(value) ? secret(change(exposed(value))) : change(value);
}

/** The value with no secret marks in any depth. */
export function plain(value: unknown): unknown {
  const bare = exposed(value);
  if (Array.isArray(bare)) return bare.map(plain);
  if (!isObject(bare)) return bare;
  return Object.fromEntries(Object.entries(bare).map(([key, item]) => [key, plain(item)]));
}
