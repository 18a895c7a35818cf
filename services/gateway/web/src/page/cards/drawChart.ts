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
  type Time,
  type UTCTimestamp,
} from "lightweight-charts";
import { formatAxis, formatPrice } from "../../format.ts";
import { formatTimeOfDay } from "../clock.ts";
import { type Grid, goesOn, type LinePoint, lineOf, type Row, sourceGapSteps, withRow } from "./chartData.ts";
import { lineNumber } from "./lines.ts";

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
  /** Draw one more row, or replace the newest one. */
  add(row: Row): void;
  /** Format prices with at most this many decimals, as `formatPrice` does. */
  setDecimals(dp: number): void;
  /** Show the lines of these exchanges, and no other exchange's. */
  show(exchanges: readonly string[]): void;
  /** Show or hide the tag with the newest price on the axis. Only a live price is to have it. */
  setTagged(isTagged: boolean): void;
  /** Read the colours from the style sheet again. */
  recolour(): void;
  remove(): void;
}

type Line = ISeriesApi<"Line", Time>;

export function drawChart(element: HTMLElement): DrawnChart {
  const chart = createChart(element, options());
  const price = addLine(chart, {
    lineWidth: 2,
    lineStyle: LineStyle.Solid,
    lastValueVisible: true,
    crosshairMarkerVisible: true,
    crosshairMarkerRadius: 3,
  });
  const sources = new Map<string, Line>();
  let shown: readonly string[] = [];
  let grid: Grid = { stepS: 1, steps: 0 };
  let rows: readonly Row[] = [];
  let end = 0; // the time of the newest step drawn
  let drawn = 0; // the number of steps drawn
  let decimals = 2;
  let isTagged = true;
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
    price.setData(points(lineOf(rows, end, grid, (row) => row.price)));
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
    add(told) {
      // An added row holds the newest price. If its time is before the newest step, it counts for that step.
      const row = { ...told, time: Math.max(told.time, end) };
      const isOneMore = goesOn(rows, row, grid);
      rows = withRow(rows, row, grid);
      const isFull = row.time > end && drawn >= grid.steps + TRIM_AFTER;
      change(() => (isOneMore && !isFull ? drawOne(row) : drawAll(row.time)));
    },
    setDecimals(dp) {
      if (dp === decimals) return;
      decimals = dp;
      format();
    },
    show(exchanges) {
      shown = exchanges;
      for (const [exchange, line] of sources) line.applyOptions({ visible: shown.includes(exchange) });
    },
    setTagged(next) {
      if (next === isTagged) return;
      isTagged = next;
      price.applyOptions({ lastValueVisible: next });
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

function options() {
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
      tickMarkFormatter: (time: Time) => formatTimeOfDay(1000 * (time as UTCTimestamp), "minutes"),
    },
    // The library formats times in UTC; these are in the visitor's time zone.
    localization: { timeFormatter: (time: Time) => formatTimeOfDay(1000 * (time as UTCTimestamp), "seconds") },
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
