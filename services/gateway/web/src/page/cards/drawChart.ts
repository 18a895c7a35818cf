/** Draws prices with TradingView's Lightweight Charts. The only module that loads them, and itself loaded when needed. */
import {
  ColorType,
  CrosshairMode,
  createChart,
  type IChartApi,
  type ISeriesApi,
  LineSeries,
  LineStyle,
  type LineWidth,
  type Time,
  type UTCTimestamp,
} from "lightweight-charts";
import { formatPrice } from "../../format.ts";
import { formatTimeOfDay } from "../clock.ts";
import { type Grid, type LinePoint, lineOf, type Row, withRow } from "./chartData.ts";
import { lineNumber } from "./lines.ts";

const TRIM_AFTER = 60; // steps drawn past the grid's length before the oldest are let go
const DASHES = [LineStyle.Solid, LineStyle.Dashed, LineStyle.Dotted, LineStyle.LargeDashed];

export interface DrawnChart {
  /** Draw these rows and nothing else. */
  load(rows: readonly Row[], end: number, grid: Grid): void;
  /** Draw one more row, or the newest one anew. */
  add(row: Row): void;
  /** Write prices with so many decimals at most. */
  setDecimals(dp: number): void;
  /** Take the colours from the style sheet again. */
  recolour(): void;
  remove(): void;
}

type Line = ISeriesApi<"Line", Time>;

export function drawChart(element: HTMLElement): DrawnChart {
  const chart = createChart(element, options());
  const price = addLine(chart, 2, LineStyle.Solid);
  const sources = new Map<string, Line>();
  let grid: Grid = { stepS: 1, steps: 0 };
  let rows: readonly Row[] = [];
  let drawn = { end: 0, count: 0 };
  let decimals = 2;

  function sourceLine(exchange: string): Line {
    let line = sources.get(exchange);
    if (!line) {
      line = addLine(chart, 1, DASHES[lineNumber(exchange) - 1] ?? LineStyle.Solid);
      price.setSeriesOrder(sources.size + 1); // the price stays on top
      sources.set(exchange, line);
      paint();
      format();
    }
    return line;
  }

  function drawAll(end: number) {
    for (const row of rows) for (const exchange of Object.keys(row.sources)) sourceLine(exchange);
    price.setData(points(lineOf(rows, end, grid, (row) => row.price)));
    for (const [exchange, line] of sources) line.setData(points(lineOf(rows, end, grid, (row) => row.sources[exchange])));
    chart.timeScale().setVisibleLogicalRange({ from: 0, to: grid.steps - 1 });
    drawn = { end, count: grid.steps };
  }

  function paint() {
    const colour = colours(element);
    chart.applyOptions({
      layout: { textColor: colour("--ink-3"), background: { type: ColorType.Solid, color: "transparent" } },
      grid: { horzLines: { color: colour("--rule") } },
      crosshair: {
        horzLine: { color: colour("--rule-2"), labelBackgroundColor: colour("--ink-3") },
        vertLine: { color: colour("--rule-2"), labelBackgroundColor: colour("--ink-3") },
      },
    });
    price.applyOptions({ color: colour("--ink"), crosshairMarkerBorderColor: colour("--paper") });
    for (const [exchange, line] of sources) line.applyOptions({ color: colour(`--line-${lineNumber(exchange)}`) });
  }

  function format() {
    const formatter = (value: number) => formatPrice(value, decimals).plain;
    for (const line of [price, ...sources.values()])
      line.applyOptions({ priceFormat: { type: "custom", formatter, minMove: 10 ** -decimals } });
  }

  paint();
  return {
    load(next, end, nextGrid) {
      [rows, grid] = [next, nextGrid];
      drawAll(end);
    },
    add(row) {
      rows = withRow(rows, row, grid);
      if (row.time < drawn.end) return;
      const isNext = row.time === drawn.end + grid.stepS;
      if (row.time !== drawn.end && (!isNext || drawn.count >= grid.steps + TRIM_AFTER)) return drawAll(row.time);
      for (const exchange of Object.keys(row.sources)) sourceLine(exchange);
      price.update(point({ time: row.time, value: row.price }));
      for (const [exchange, line] of sources) {
        const value = row.sources[exchange];
        line.update(point(value === undefined ? { time: row.time } : { time: row.time, value }));
      }
      if (isNext) drawn = { end: row.time, count: drawn.count + 1 };
    },
    setDecimals(dp) {
      if (dp === decimals) return;
      decimals = dp;
      format();
    },
    recolour: paint,
    remove: () => chart.remove(),
  };
}

function addLine(chart: IChartApi, lineWidth: LineWidth, lineStyle: LineStyle): Line {
  const isPrice = lineWidth > 1;
  return chart.addSeries(LineSeries, {
    lineWidth,
    lineStyle,
    priceLineVisible: false,
    lastValueVisible: isPrice,
    crosshairMarkerVisible: isPrice,
    crosshairMarkerRadius: 3,
  });
}

function options() {
  const { fontFamily } = getComputedStyle(document.body);
  return {
    autoSize: true,
    handleScroll: false, // a wheel scrolls the page
    handleScale: false,
    layout: { fontFamily, fontSize: 11, attributionLogo: false }, // the page's footer credits TradingView
    grid: { vertLines: { visible: false } },
    crosshair: { mode: CrosshairMode.Magnet },
    rightPriceScale: { borderVisible: false, entireTextOnly: true, scaleMargins: { top: 0.08, bottom: 0.06 } },
    timeScale: {
      borderVisible: false,
      timeVisible: true,
      allowBoldLabels: false,
      minBarSpacing: 0.01,
      lockVisibleTimeRangeOnResize: true,
      tickMarkFormatter: (time: Time) => formatTimeOfDay(1000 * (time as UTCTimestamp), "minutes"),
    },
    // The library writes times in UTC; these are the visitor's.
    localization: { timeFormatter: (time: Time) => formatTimeOfDay(1000 * (time as UTCTimestamp), "seconds") },
  };
}

function point({ time, value }: LinePoint) {
  return value === undefined ? { time: time as UTCTimestamp } : { time: time as UTCTimestamp, value };
}

function points(line: readonly LinePoint[]) {
  return line.map(point);
}

/** Return how to look up a colour token as the canvas understands it. */
function colours(element: HTMLElement): (token: string) => string {
  const style = getComputedStyle(element);
  return (token) => style.getPropertyValue(token);
}
