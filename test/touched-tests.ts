import { basename, dirname, join } from "node:path/posix";

/** A test file that a change can make fail. */
export interface TouchedTest {
  file: string;
  /** How many steps lie between it and the change: 0, it is changed itself; 1 also if it is named after the change. */
  distance: number;
}

/**
 * The test files that lead to a changed file, in any number of steps. A file leads to those that it names: in an
 * import, or as a program names the script that it runs. One that names a folder leads to all in it. Better too many
 * than too few.
 * @param files text by path in the checkout
 * @returns the tests, and the changed files that no test leads to
 */
export function touchedTests(
  files: ReadonlyMap<string, string>,
  changed: readonly string[],
): { tests: TouchedTest[]; unknown: string[] } {
  const users = usersOf(files);
  const nearest = new Map<string, number>();
  const unknown: string[] = [];
  for (const file of changed) {
    const found = [...distances(file, users)].filter(([user]) => isTest(user));
    if (found.length === 0) unknown.push(file);
    for (const [test, steps] of found) {
      const distance = stem(test) === stem(file) ? Math.min(steps, 1) : steps;
      nearest.set(test, Math.min(distance, nearest.get(test) ?? distance));
    }
  }
  return { tests: [...nearest].map(([file, distance]) => ({ file, distance })), unknown };
}

/**
 * Takes of the tests, the nearest first and of equally near ones the quickest first, those that fit into a time. What
 * is itself changed is always taken.
 * @param secondsOf how long a file took last; undefined, nobody knows
 */
export function affordable(
  tests: readonly TouchedTest[],
  secondsOf: (file: string) => number | undefined,
  budget: number,
): { run: string[]; leftOut: string[] } {
  const cost = (test: TouchedTest) => secondsOf(test.file) ?? 60;
  const run: string[] = [];
  const leftOut: string[] = [];
  let spent = 0;
  for (const test of tests.toSorted((a, b) => a.distance - b.distance || cost(a) - cost(b))) {
    const fits = test.distance === 0 || run.length === 0 || spent + cost(test) <= budget;
    if (fits) spent += cost(test);
    (fits ? run : leftOut).push(test.file);
  }
  return { run, leftOut };
}

const isTest = (file: string) => file.endsWith(".test.ts");
const stem = (file: string) => basename(file).replace(/\..*$/, "");

/** For each file, those that name it. */
function usersOf(files: ReadonlyMap<string, string>): Map<string, Set<string>> {
  const users = new Map([...files.keys()].map((file) => [file, new Set<string>()]));
  const isUsedByName = (file: string) => !file.startsWith("test/");
  const byName = Map.groupBy([...files.keys()].filter(isUsedByName), (file) => basename(file));
  const byFolder = new Map<string, string[]>();
  // Other folders have names that are words of every day: `lab`, `keys`.
  for (const file of [...files.keys()].filter(isUsedByName))
    for (const folder of dirname(file)
      .split("/")
      .filter((name) => name.includes("-")))
      byFolder.set(folder, [...(byFolder.get(folder) ?? []), file]);

  for (const [file, text] of files)
    for (const word of namesIn(file, text)) {
      const relative = join(dirname(file), word);
      const named = /^\.\.?\//.test(word) ? [relative] : (byName.get(basename(word)) ?? []);
      for (const used of [...named, ...(byFolder.get(basename(word)) ?? [])])
        users.get(used)?.add(file);
    }
  return users;
}

/** The words of a program, its comments aside, that may be names of files: of TypeScript what is in quotes alone. */
function namesIn(file: string, text: string): string[] {
  if (/\.(ts|mjs)$/.test(file))
    return [...text.matchAll(/(?<=["'`])[\w.@/-]+(?=["'`])/g)].map(([word]) => word);
  if (!/\.(sh|nix)$/.test(file) && !text.startsWith("#!")) return [];
  return text.replace(/^\s*#.*$/gm, "").match(/[\w.@/-]+\.[a-z]+\b/g) ?? [];
}

/** The file and all that lead to it, each with its distance. */
function distances(file: string, users: ReadonlyMap<string, Set<string>>): Map<string, number> {
  const found = new Map([[file, 0]]);
  // A map goes on to what is added to it meanwhile.
  for (const [near, distance] of found)
    for (const user of users.get(near) ?? []) if (!found.has(user)) found.set(user, distance + 1);
  return found;
}
