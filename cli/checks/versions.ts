import semver from "semver";

/** Whether a dotted version is at least another; also of those that are not semantic, like `2.35pre20251101`. */
export function atLeast(version: string, other: string): boolean {
  const [left, right] = [semver.coerce(version), semver.coerce(other)];
  return left !== null && right !== null && semver.gte(left, right);
}
