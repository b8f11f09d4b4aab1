import { readFile } from "node:fs/promises";
import { join } from "node:path";
import GithubSlugger from "github-slugger";
import { lexer, type Token, type Tokens, walkTokens } from "marked";
import { checkout } from "../../../dev/tools/checkout.ts";

/** A code block. */
export interface Block {
  /** The word after the fence; empty, none. */
  language: string;
  text: string;
}

/** A table, by its first column. */
export interface Table {
  /** The heading that it stands under. */
  under: string;
  /** Of each row, the code in its first cell. */
  firsts: string[][];
}

/** A Markdown file of the checkout, read as GitHub shows it. */
export interface Page {
  /** Its path, from the checkout. */
  file: string;
  /** How many lines it has. */
  lines: number;
  /** Where links and pictures lead, as they are written. */
  links: string[];
  /** What `#…` may name in it. */
  anchors: Set<string>;
  blocks: Block[];
  /** Code in the text, without its backticks. */
  spans: string[];
  tables: Table[];
}

/** @throws when there is no such file */
export async function readPage(file: string): Promise<Page> {
  return pageOf(file, await readFile(join(checkout, file), "utf8"));
}

export function pageOf(file: string, text: string): Page {
  const slugger = new GithubSlugger();
  const page: Page = {
    file,
    lines: text.trimEnd().split("\n").length,
    links: [],
    anchors: new Set(),
    blocks: [],
    spans: [],
    tables: [],
  };
  let under = "";
  walkTokens(lexer(text), (token) => {
    if (token.type === "link" || token.type === "image") page.links.push(token.href);
    if (token.type === "heading") {
      under = plain(token);
      page.anchors.add(slugger.slug(under));
    }
    if (token.type === "code") page.blocks.push({ language: token.lang ?? "", text: token.text });
    if (token.type === "codespan") page.spans.push(token.text);
    if (token.type === "table") {
      const firsts = (token as Tokens.Table).rows.map(([first]) => spansOf(first?.tokens ?? []));
      page.tables.push({ under, firsts });
    }
  });
  return page;
}

const spansOf = (tokens: readonly Token[]): string[] =>
  tokens.flatMap((token) => (token.type === "codespan" ? [token.text] : []));

/** A heading's text, without its marks. */
function plain(token: Token): string {
  return "tokens" in token && token.tokens !== undefined
    ? token.tokens.map(plain).join("")
    : "text" in token
      ? token.text
      : token.raw;
}
