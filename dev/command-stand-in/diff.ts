import { isDeepStrictEqual } from "node:util";
import { isObject, type Properties } from "./properties.ts";

export type Change = "add" | "delete" | "update";

/**
 * What differs between two sets of inputs, as paths in the engine's syntax (`environment.LANG`,
 * `triggers[0]`). A secret is one value: a change within it is told of the whole, and so is a value
 * that becomes secret.
 */
export function diff(olds: unknown, news: unknown, path = ""): Map<string, Change> {
  if (isDeepStrictEqual(olds, news)) return new Map();
  if (isObject(olds) && isObject(news)) return diffEntries(olds, news, (key) => child(path, key));
  if (Array.isArray(olds) && Array.isArray(news)) {
    return diffEntries({ ...olds }, { ...news }, (index) => `${path}[${index}]`);
  }
  return new Map([[path, "update"]]);
}

function diffEntries(olds: Properties, news: Properties, pathOf: (key: string) => string) {
  const changes = new Map<string, Change>();
  for (const key of new Set([...Object.keys(olds), ...Object.keys(news)])) {
    if (isAbsent(olds[key]) && isAbsent(news[key])) continue;
    if (isAbsent(olds[key])) changes.set(pathOf(key), "add");
    else if (isAbsent(news[key])) changes.set(pathOf(key), "delete");
    else
      for (const [path, change] of diff(olds[key], news[key], pathOf(key)))
        changes.set(path, change);
  }
  return changes;
}

function isAbsent(value: unknown): boolean {
  return value === undefined || value === null;
}

function child(path: string, key: string): string {
  if (!/^[A-Za-z_$][\w$]*$/.test(key)) return `${path}[${JSON.stringify(key)}]`;
  return path ? `${path}.${key}` : key;
}
