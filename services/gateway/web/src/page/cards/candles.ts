/** Fills a chart with candles: past ones and the open one. The line goes through the price at the end of each. */
import { useEffect, useRef, useState } from "react";
import type { CandlesState, Interval } from "../../useCandles.ts";
import { useCandles } from "../../useCandles.ts";
import { fetchHistory } from "../history.ts";
import { useSources } from "../sources.ts";
import { type Grid, newRows, type Row, rowsOf, stepTime } from "./chartData.ts";
import type { DrawnChart } from "./drawChart.ts";
import { onReturn } from "./onReturn.ts";
import { ownPrices } from "./seconds.ts";

/** The exchanges' own prices at each step, by exchange. */
type Lines = ReadonlyMap<number, Row["sources"]>;

const NO_LINES: Lines = new Map();
const NO_PRICES = {};

/** Draw a symbol's candles, and return their state. The stream is asked for `name`, the symbol as its card names it. */
export function useCandleRows(chart: DrawnChart, name: string, symbol: string, interval: Interval, grid: Grid): CandlesState {
  const state = useCandles(name, interval, { limit: grid.steps });
  const { candles } = state;
  const newest = candles.at(-1)?.start;
  const lines = useExchangeLines(symbol, interval, grid, newest === undefined ? null : stepTime(newest, grid));
  const drawn = useRef<readonly Row[]>([]);
  useEffect(() => {
    if (!candles.length && chart.grid === grid) return; // what was drawn before a pause stays until it is known again
    const rows = candles.map(({ start, close }): Row => {
      const time = stepTime(start, grid);
      return { time, price: close, sources: lines.get(time) ?? NO_PRICES };
    });
    const news = chart.grid === grid ? newRows(drawn.current, rows) : null;
    if (news) for (const row of news) chart.add(row);
    else chart.load(rows, rows.at(-1)?.time ?? stepTime(Date.now(), grid), grid);
    drawn.current = rows;
  }, [chart, candles, lines, grid]);
  return state;
}

/**
 * Return the exchanges' prices of each minute: past ones from the history, and newer ones as they are told for the open candle, which
 * begins at `newest`. Of hours and days, exchanges have no lines.
 */
function useExchangeLines(symbol: string, interval: Interval, grid: Grid, newest: number | null): Lines {
  const isOfMinutes = interval === "1m";
  const [lines, setLines] = useState(NO_LINES);
  const told = useSources(isOfMinutes ? symbol : null);
  useEffect(() => {
    if (!isOfMinutes) return;
    const end = new AbortController();
    async function load() {
      const history = await fetchHistory(symbol, "1m", end.signal);
      if (!history || end.signal.aborted) return;
      // The history has the prices at the start of each minute. A candle's row shows the price at its end.
      const past = rowsOf(history, grid).map(({ time, sources }) => [time - grid.stepS, sources] as const);
      setLines((live) => new Map([...past, ...live]));
    }
    void load();
    const endReturn = onReturn(1000 * grid.gapSteps * grid.stepS, () => void load());
    return () => {
      end.abort();
      endReturn();
    };
  }, [symbol, grid, isOfMinutes]);
  useEffect(() => {
    if (newest === null || !told.length) return;
    setLines((before) => new Map([...before].slice(-grid.steps)).set(newest, ownPrices(told)));
  }, [told, newest, grid]);
  return lines;
}
