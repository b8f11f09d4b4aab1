import * as echarts from "echarts";

/** Bars in groups: a group for each label, in it a bar for each series. */
export interface BarChart {
  /** What is measured, with its unit. */
  title: string;
  labels: readonly string[];
  series: readonly { name: string; values: readonly (number | undefined)[] }[];
}

// Told apart also by people who do not see all colours (Okabe and Ito), and on paper.
const colors = ["#0072b2", "#e69f00", "#999999", "#009e73"];
const text = { color: "#1b2733", fontFamily: "Helvetica, Arial, 'DejaVu Sans', sans-serif" };
const width = 800;
const height = 300;

/** Draws charts below each other, with one legend; they have the same series. @returns an SVG document */
export function barCharts(charts: readonly BarChart[]): string {
  const [first] = charts;
  if (first === undefined) throw new Error("there is no chart to draw");
  const chart = echarts.init(null, null, {
    renderer: "svg",
    ssr: true,
    width,
    height: charts.length * height + 30,
  });
  chart.setOption({
    animation: false,
    backgroundColor: "#ffffff",
    color: colors,
    textStyle: text,
    legend: {
      top: 8,
      silent: true,
      selectedMode: false,
      data: first.series.map(({ name }) => name),
      textStyle: text,
    },
    title: charts.map(({ title }, i) => ({
      text: title,
      silent: true,
      left: 60,
      top: i * height + 40,
      textStyle: { ...text, fontSize: 14 },
    })),
    grid: charts.map((_, i) => ({
      left: 60,
      right: 20,
      top: i * height + 80,
      height: height - 110,
    })),
    xAxis: charts.map(({ labels }, gridIndex) => ({
      gridIndex,
      type: "category",
      silent: true,
      data: [...labels],
      axisTick: { show: false },
      axisLabel: { ...text, interval: 0 },
    })),
    yAxis: charts.map((_, gridIndex) => ({
      gridIndex,
      type: "value",
      silent: true,
      axisLabel: text,
    })),
    series: charts.flatMap(({ series }, i) =>
      series.map(({ name, values }) => ({
        name,
        type: "bar",
        silent: true,
        emphasis: { disabled: true },
        xAxisIndex: i,
        yAxisIndex: i,
        barCategoryGap: "25%",
        label: { show: true, position: "top", ...text, fontSize: 11 },
        data: values.map((value) => (value === undefined ? null : Number(value.toFixed(1)))),
      })),
    ),
  });
  const svg = chart.renderToSVGString();
  chart.dispose();
  return `${svg}\n`;
}
