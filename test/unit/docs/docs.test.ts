import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { execa } from "execa";
import { expect, test } from "vitest";
import { parseStackConfig } from "../../../config/stack-config.ts";
import { checkout } from "../../../dev/tools/checkout.ts";
import { commandsIn, declaredBy, mistakeIn } from "./commands.ts";
import { messagesNotIn } from "./messages.ts";
import { readPage } from "./page.ts";
import { documentedAs } from "./settings.ts";
import { settingsWrittenIn } from "./stack-files.ts";

const files = await trackedFiles("*.md");
const pages = await Promise.all(files.map(readPage));
const byFile = new Map(pages.map((page) => [page.file, page]));

test("every link leads to a file, and every anchor to a heading", () => {
  const lost = pages.flatMap(({ file, links }) =>
    links
      .filter((link) => !/^\w+:/.test(link) && !leadsSomewhere(file, link))
      .map((link) => `${file}: ${link}`),
  );
  expect(lost).toEqual([]);
});

function leadsSomewhere(from: string, link: string): boolean {
  const [path = "", anchor] = link.split("#");
  const file = path === "" ? from : join(dirname(from), path);
  if (!existsSync(join(checkout, file))) return false;
  return anchor === undefined || byFile.get(file)?.anchors.has(anchor) === true;
}

test("links to other places are https", () => {
  const outside = pages.flatMap(({ file, links }) =>
    links.filter((link) => /^\w+:/.test(link)).map((link) => ({ file, link })),
  );
  const wrong = outside.filter(({ link }) => !/^https:/.test(link) || !URL.canParse(link));
  expect(wrong).toEqual([]);
});

test("the index has every page", () => {
  const index = byFile.get("docs/README.md");
  const linked = index?.links.map((link) => join("docs", link));
  const others = files.filter((file) => file.startsWith("docs/") && file !== index?.file);
  expect(others.filter((file) => !linked?.includes(file))).toEqual([]);
});

test("pages are short, and the README is", () => {
  const long = pages.filter(({ file, lines }) => lines > (file === "README.md" ? 200 : 250));
  expect(long.map(({ file, lines }) => `${file}: ${lines} lines`)).toEqual([]);
});

test("every command names a script, a command and options that exist", async () => {
  const { scripts } = JSON.parse(await readFile(join(checkout, "package.json"), "utf8"));
  const known = {
    scripts: new Set(Object.keys(scripts)),
    nixosCache: await declaredBy(() => import("../../../cli/main.ts")),
    lab: await declaredBy(() => import("../../../dev/lab/main.ts")),
  };
  const commands = pages.flatMap(commandsIn);
  expect(commands.length).toBeGreaterThan(100);
  const wrong = commands.flatMap((words) => {
    const mistake = mistakeIn(words, known);
    return mistake === undefined ? [] : [`${words.join(" ")}: ${mistake}`];
  });
  expect(wrong).toEqual([]);
});

test("every stack file, and every setting that is set, is taken", () => {
  const written = pages.flatMap((page) =>
    settingsWrittenIn(page, commandsIn(page)).map((settings) => ({ file: page.file, settings })),
  );
  expect(written.length).toBeGreaterThan(10);
  for (const { file, settings } of written) {
    expect(() => parseStackConfig(settings), file).not.toThrow();
  }
});

test("the page of the settings has each of them, and no other", () => {
  const tables = byFile.get("docs/reference/settings.md")?.tables ?? [];
  const documented = tables.flatMap(({ firsts }) => firsts.flat());
  expect(documented.toSorted()).toEqual([...documentedAs()].toSorted());
});

test("the messages that are ours are in the program", async () => {
  const program = ["cli", "components", "config", "machine", "nixos"];
  const sources = (await trackedFiles(...program)).map((file) =>
    readFile(join(checkout, file), "utf8"),
  );
  const page = byFile.get("docs/reference/messages.md");
  expect(page && messagesNotIn(await Promise.all(sources), page)).toEqual([]);
});

/** Those that git knows or may get to know. */
async function trackedFiles(...paths: string[]): Promise<string[]> {
  const list = ["ls-files", "--cached", "--others", "--exclude-standard", ...paths];
  const { stdout } = await execa("git", list, { cwd: checkout });
  return stdout.split("\n").filter((file) => existsSync(join(checkout, file)));
}
