import type { BenchResults } from "../bench/measurement.ts";
import { cases, median } from "../bench/measurement.ts";
import { type BarChart, barCharts } from "./bar-chart.ts";

/** The charts of docs/explanation/figures.md as SVG, by their names. @param deploy what `dev/bench/deploy.ts --json` wrote */
export function figures(deploy: BenchResults): Record<string, string> {
  const sizes = [...new Set(deploy.measurements.map(({ clients }) => clients))];
  return Object.fromEntries(
    sizes.map((clients) => [`deploy-${clients}`, barCharts(deployCharts(deploy, clients))]),
  );
}

/** One chart with the lab's evaluation, and one for each that was slowed down. */
function deployCharts({ measurements }: BenchResults, clients: number): BarChart[] {
  const these = measurements.filter((it) => it.clients === clients);
  const tools = [...new Set(these.map(({ tool }) => tool))];
  return [...new Set(these.map(({ slowerBy }) => slowerBy))].map((slowerBy) => ({
    title: `kalaw and ${clients} client${clients === 1 ? "" : "s"}, ${
      slowerBy === 0 ? "the lab's own evaluation" : `each evaluation ${slowerBy} s longer`
    }: seconds`,
    labels: cases.map(({ name }) => name),
    series: tools.map((tool) => ({
      name: tool,
      values: cases.map(({ name }) => {
        const runs = these.filter(
          (it) => it.tool === tool && it.case === name && it.slowerBy === slowerBy,
        );
        return runs.length === 0 ? undefined : median(runs.map(({ seconds }) => seconds));
      }),
    })),
  }));
}
