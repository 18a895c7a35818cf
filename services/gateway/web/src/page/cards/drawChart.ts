/** Draws prices with TradingView's Lightweight Charts. Only this module imports the library; it is loaded on demand. */
import {
  ColorType,
  CrosshairMode,
  createChart,
  type IChartApi,
  type ISeriesApi,
  LineSeries,
  type LineSeriesPartialOptions,
  LineStyle,
  type LineWidth,
  type TickMarkType,
  type Time,
  type UTCTimestamp,
} from "lightweight-charts";
import { formatAxis, formatPrice } from "../../format.ts";
import { formatMark, formatStep } from "../clock.ts";
import { type Grid, goesOn, type LinePoint, lineOf, type Row, sourceGapSteps, withRow } from "./chartData.ts";
import { lineNumber } from "./lines.ts";
import { addTag } from "./tag.ts";

const TRIM_AFTER = 60; // how many steps more than the grid has may be drawn before the oldest are dropped
/** The exchanges' line styles, as Legend.css draws them. No two are alike without their colours. */
const STYLES: readonly (readonly [LineStyle, LineWidth])[] = [
  [LineStyle.Solid, 1],
  [LineStyle.Dashed, 1],
  [LineStyle.Dotted, 1],
  [LineStyle.LargeDashed, 1],
  [LineStyle.SparseDotted, 2],
  [LineStyle.Dashed, 2],
];

export interface DrawnChart {
  /** The chart's grid; null before the first `load`. */
  readonly grid: Grid | null;
  /** Draw these rows and nothing else, on a grid whose newest step is `newest`. */
  load(rows: readonly Row[], newest: number, grid: Grid): void;
  /** Draw one more row, or replace the newest one. An older row is ignored. */
  add(row: Row): void;
  /** Format prices with at most this many decimals, as `formatPrice` does. */
  setDecimals(dp: number): void;
  /** Show the lines of these exchanges, and no other exchange's. */
  show(exchanges: readonly string[]): void;
  /** Show a live price in the tag on the axis, or hide the tag for null. The lines stay as they are. */
  setTag(live: number | null): void;
  /** Read the colours from the style sheet again. */
  recolour(): void;
  remove(): void;
}

type Line = ISeriesApi<"Line", Time>;

export function drawChart(element: HTMLElement): DrawnChart {
  let grid: Grid = { stepS: 1, steps: 0, gapSteps: 1 };
  const chart = createChart(
    element,
    options(() => grid.stepS),
  );
  const price = addLine(chart, {
    lineWidth: 2,
    lineStyle: LineStyle.Solid,
    crosshairMarkerVisible: true,
    crosshairMarkerRadius: 3,
  });
  const sources = new Map<string, Line>();
  let shown: readonly string[] = [];
  let rows: readonly Row[] = [];
  let end = 0; // the time of the newest step drawn
  let drawn = 0; // the number of steps drawn
  let decimals = 2;
  const tag = addTag(element, chart, price, (value) => formatPrice(value, decimals).plain);
  let pointer: { readonly time: Time; readonly price: number } | null = null; // the point under the mouse

  chart.subscribeCrosshairMove(({ sourceEvent, time, point: at }) => {
    if (!sourceEvent && at) return; // moved by `change` below, not by the visitor
    const under = at && price.coordinateToPrice(at.y);
    pointer = time === undefined || under == null ? null : { time, price: under };
  });

  /**
   * Change the lines' data while the crosshair is hidden. Otherwise the library looks for the line under the crosshair after
   * the first line has changed. The other lines' indices do not fit their data then, and the library throws
   * (tradingview/lightweight-charts#2044).
   */
  function change(lines: () => void) {
    const at = pointer;
    chart.clearCrosshairPosition();
    lines();
    pointer = at;
    if (at && rows.length) chart.setCrosshairPosition(at.price, at.time, price);
  }

  /** Return an exchange's line, which is added when it is first needed. */
  function sourceLine(exchange: string): Line {
    let line = sources.get(exchange);
    if (!line) {
      const [lineStyle, lineWidth] = STYLES[lineNumber(exchange) - 1] ?? [LineStyle.Solid, 1];
      line = addLine(chart, { lineStyle, lineWidth, visible: shown.includes(exchange) });
      price.setSeriesOrder(sources.size + 1); // keeps the price's line on top
      sources.set(exchange, line);
      paint();
      format();
    }
    return line;
  }

  function drawAll(newest: number) {
    end = newest;
    drawn = grid.steps;
    for (const row of rows) for (const exchange of Object.keys(row.sources)) sourceLine(exchange);
    for (const line of [price, ...sources.values()]) line.setData([]); // or the library mixes up old and new indices
    price.setData(points(lineOf(rows, end, grid, (row) => row.price, grid.gapSteps)));
    for (const [exchange, line] of sources)
      line.setData(points(lineOf(rows, end, grid, (row) => row.sources[exchange], sourceGapSteps(grid))));
    chart.timeScale().setVisibleLogicalRange({ from: 0, to: grid.steps - 1 });
  }

  function drawOne({ time, price: value, sources: others }: Row) {
    // The library places points by their number, not by their time. So steps without a price get points, too.
    while (end + grid.stepS < time) {
      end += grid.stepS;
      drawn += 1;
      price.update(point({ time: end }));
    }
    price.update(point({ time, value }));
    for (const [exchange, other] of Object.entries(others)) sourceLine(exchange).update(point({ time, value: other }));
    if (time > end) drawn += 1;
    end = time;
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
    const tickmarksFormatter = (values: readonly number[]) => [...formatAxis(values, decimals)];
    for (const line of [price, ...sources.values()])
      line.applyOptions({ priceFormat: { type: "custom", formatter, tickmarksFormatter, minMove: 10 ** -decimals } });
  }

  paint();
  format(); // the first prices may have just these decimals, and `setDecimals` then changes nothing

  return {
    get grid() {
      return grid.steps ? grid : null;
    },
    load(next, newest, nextGrid) {
      [rows, grid] = [next, nextGrid];
      change(() => drawAll(newest));
    },
    add(row) {
      const isOneMore = row.time >= end && goesOn(rows, row, grid);
      rows = withRow(rows, row, grid);
      const isFull = row.time > end && drawn >= grid.steps + TRIM_AFTER;
      change(() => (isOneMore && !isFull ? drawOne(row) : drawAll(Math.max(row.time, end))));
    },
    setDecimals(dp) {
      if (dp === decimals) return;
      decimals = dp;
      format();
    },
    setTag: tag.set,
    show(exchanges) {
      shown = exchanges;
      for (const [exchange, line] of sources) line.applyOptions({ visible: shown.includes(exchange) });
    },
    recolour: paint,
    remove: () => chart.remove(),
  };
}

function addLine(chart: IChartApi, options: LineSeriesPartialOptions): Line {
  return chart.addSeries(LineSeries, {
    priceLineVisible: false,
    lastValueVisible: false,
    crosshairMarkerVisible: false,
    ...options,
  });
}

/** `stepS` returns the length of the grid's steps in seconds. */
function options(stepS: () => number) {
  const { fontFamily } = getComputedStyle(document.body);
  return {
    autoSize: true,
    handleScroll: false, // the mouse wheel scrolls the page
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
      tickMarkFormatter: (time: Time, type: TickMarkType) => formatMark(1000 * (time as UTCTimestamp), stepS(), type),
    },
    // The library formats times in UTC; these are in the visitor's time zone.
    localization: { timeFormatter: (time: Time) => formatStep(1000 * (time as UTCTimestamp), stepS()) },
  };
}

/** Return a point in the library's form. The library would draw a line across a gap, so that piece is made transparent. */
function point({ time, value, isEnd }: LinePoint) {
  const at = time as UTCTimestamp;
  return value === undefined ? { time: at } : { time: at, value, ...(isEnd && { color: "transparent" }) };
}

function points(line: readonly LinePoint[]) {
  return line.map(point);
}

/** Return a function that looks up a colour token's value, in a form that the canvas understands. */
function colours(element: HTMLElement): (token: string) => string {
  const style = getComputedStyle(element);
  return (token) => style.getPropertyValue(token);
}
