import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { figures } from "../../dev/figures/figures.ts";
import { checkout } from "../../dev/tools/checkout.ts";

const results = join(checkout, "dev/bench/results");
const charts = readdirSync(results).flatMap((file) =>
  Object.entries(figures(JSON.parse(readFileSync(join(results, file), "utf8")))),
);

// `npm test -- test/unit/figures -u` draws them anew.
test.each(charts)("the figure %s shows what was measured", async (name, svg) => {
  await expect(svg).toMatchFileSnapshot(join(checkout, "docs/explanation/figures", `${name}.svg`));
});
