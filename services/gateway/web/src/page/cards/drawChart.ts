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
import { formatAxis, formatPrice } from "../../format.ts";
import { formatTimeOfDay } from "../clock.ts";
import { type Grid, goesOn, type LinePoint, lineOf, type Row, withRow } from "./chartData.ts";
import { lineNumber } from "./lines.ts";

const TRIM_AFTER = 60; // steps drawn past the grid's length before the oldest are let go
const DASHES = [LineStyle.Solid, LineStyle.Dashed, LineStyle.Dotted, LineStyle.LargeDashed];

export interface DrawnChart {
  /** The grid that it draws on; null until rows were drawn. */
  readonly grid: Grid | null;
  /** Draw these rows and nothing else, on a grid whose newest step is `newest`. */
  load(rows: readonly Row[], newest: number, grid: Grid): void;
  /** Draw one more row, or the newest one anew. */
  add(row: Row): void;
  /** Write prices with so many decimals at most. */
  setDecimals(dp: number): void;
  /** Tag the newest price on the axis: only a live one. */
  setTagged(isTagged: boolean): void;
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
  let end = 0; // the newest step drawn
  let drawn = 0; // how many steps are
  let decimals = 2;
  let isTagged = true;
  let pointer: { readonly time: Time; readonly price: number } | null = null; // what the mouse points at

  chart.subscribeCrosshairMove(({ sourceEvent, time, point: at }) => {
    if (!sourceEvent && at) return; // where we have put it ourselves
    const under = at && price.coordinateToPrice(at.y);
    pointer = time === undefined || under == null ? null : { time, price: under };
  });

  /**
   * Change the lines' data with the crosshair out of the way. The library looks for the line under it after the first line's
   * change, when the others' indices no longer fit their data, and throws (tradingview/lightweight-charts#2044).
   */
  function change(lines: () => void) {
    const at = pointer;
    chart.clearCrosshairPosition();
    lines();
    pointer = at;
    if (at && rows.length) chart.setCrosshairPosition(at.price, at.time, price);
  }

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

  function drawAll(newest: number) {
    end = newest;
    drawn = grid.steps;
    for (const row of rows) for (const exchange of Object.keys(row.sources)) sourceLine(exchange);
    for (const line of [price, ...sources.values()]) line.setData([]); // else the library mixes up old and new indices
    price.setData(points(lineOf(rows, end, grid, (row) => row.price)));
    for (const [exchange, line] of sources) line.setData(points(lineOf(rows, end, grid, (row) => row.sources[exchange])));
    chart.timeScale().setVisibleLogicalRange({ from: 0, to: grid.steps - 1 });
  }

  function drawOne({ time, price: value, sources: others }: Row) {
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
  return {
    get grid() {
      return grid.steps ? grid : null;
    },
    load(next, newest, nextGrid) {
      [rows, grid] = [next, nextGrid];
      change(() => drawAll(newest));
    },
    add(told) {
      const row = { ...told, time: Math.max(told.time, end) }; // of what came before the newest step, this is still the newest
      const last = rows.at(-1);
      rows = withRow(rows, row, grid);
      const isFull = row.time > end && drawn >= grid.steps + TRIM_AFTER;
      change(() => (last && goesOn(last, row, grid) && !isFull ? drawOne(row) : drawAll(row.time)));
    },
    setDecimals(dp) {
      if (dp === decimals) return;
      decimals = dp;
      format();
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

/** Write a point for the library, which would lead a line over a gap: so the piece that would is not to be seen. */
function point({ time, value, isEnd }: LinePoint) {
  const at = time as UTCTimestamp;
  return value === undefined ? { time: at } : { time: at, value, ...(isEnd && { color: "transparent" }) };
}

function points(line: readonly LinePoint[]) {
  return line.map(point);
}

/** Return how to look up a colour token as the canvas understands it. */
function colours(element: HTMLElement): (token: string) => string {
  const style = getComputedStyle(element);
  return (token) => style.getPropertyValue(token);
}
