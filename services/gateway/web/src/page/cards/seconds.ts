/** Fills a chart with a price a second: first from the gateway's history, then from the live stream. */
import { useEffect, useState } from "react";
import type { Store, SymbolState, Ticker } from "../../types.ts";
import { useRealtimeClient } from "../../useRealtimeTicker.ts";
import { fetchHistory } from "../history.ts";
import { readSources, type Sources, sourcesOf } from "../sources.ts";
import { type Grid, type Row, rowsOf, stepTime } from "./chartData.ts";
import type { DrawnChart } from "./drawChart.ts";
import { onReturn } from "./onReturn.ts";

/**
 * Draw a symbol's prices of each second. Return whether the history could not be loaded. The stream is asked for `name`, the
 * symbol as its card names it, so that the chart takes part in the card's wish.
 */
export function useSeconds(chart: DrawnChart, name: string, symbol: string, grid: Grid): boolean {
  const client = useRealtimeClient();
  const [hasFailed, setHasFailed] = useState(false);
  useEffect(
    () => feed(chart, client.symbol(name, { fields: ["dp"] }), symbol, grid, setHasFailed),
    [chart, client, name, symbol, grid],
  );
  return hasFailed;
}

/** Load the history into a chart, and draw the symbol's prices until the returned function is called, also while it loads. */
function feed(
  chart: DrawnChart,
  store: Store<SymbolState<"dp">>,
  symbol: string,
  grid: Grid,
  tellFailure: (hasFailed: boolean) => void,
): () => void {
  const sources = sourcesOf(symbol);
  const abort = new AbortController();
  let newest = 0; // the time of the newest step
  let isLoading = false;
  let drawnStep = 0; // the newest step that was drawn since the history was
  let waiting: Row | null = null; // a newer row of that step, which is drawn with the next step
  let seen: Ticker<"dp"> | null = null;
  let seenSources = sources.get();

  function begin(rows: readonly Row[]) {
    const { ticker } = store.getSnapshot();
    newest = Math.max(rows.at(-1)?.time ?? 0, stepTime(ticker?.aggregatedTime ?? Date.now(), grid));
    if (ticker) chart.setDecimals(ticker.dp);
    chart.load(rows, newest, grid);
    [seen, waiting, drawnStep] = [null, null, 0];
    draw();
  }

  async function load() {
    if (isLoading) return;
    isLoading = true;
    const history = await fetchHistory(symbol, "1s", abort.signal, undefined, () => tellFailure(true));
    isLoading = false;
    if (abort.signal.aborted) return;
    tellFailure(false);
    if (history) begin(rowsOf(history, grid));
  }

  /** Draw the newest price if it begins a step: four drawings a second cost a processor more than all else on the page. */
  function draw() {
    const { ticker, isConnected } = store.getSnapshot();
    if (!ticker || !isConnected) return drawWaiting();
    if (ticker === seen) return;
    seen = ticker;
    const told = sources.get();
    const row = rowNow(ticker, told === seenSources ? [] : told, grid, newest);
    seenSources = told;
    if (row.time - newest >= grid.gapSteps * grid.stepS) void load(); // the page may have slept and missed prices
    newest = row.time;
    if (row.time === drawnStep) {
      waiting = { ...row, sources: { ...waiting?.sources, ...row.sources } };
      return;
    }
    drawWaiting();
    drawnStep = row.time;
    chart.add(row);
  }

  function drawWaiting() {
    if (waiting) chart.add(waiting);
    waiting = null;
  }

  if (chart.grid === grid) draw();
  else begin([]);
  void load();
  const endReturn = onReturn(1000 * grid.gapSteps * grid.stepS, () => void load()); // hidden pages get prices more rarely
  const end = store.subscribe(draw);
  const endSources = readSources(symbol);
  return () => {
    abort.abort();
    endReturn();
    end();
    endSources();
  };
}

/** Return the newest price as a row. If its time is before the newest step, it counts for that step. */
function rowNow({ price, aggregatedTime }: Ticker<"dp">, sources: Sources, grid: Grid, newest: number): Row {
  return { time: Math.max(newest, stepTime(aggregatedTime, grid)), price, sources: ownPrices(sources) };
}

/** Return the exchanges' own prices, by name, as far as they are not stale. */
export function ownPrices(sources: Sources): Readonly<Record<string, number>> {
  const heard = sources.filter((source) => source.state !== "stale");
  return Object.fromEntries(heard.flatMap(({ exchange, price }) => (price === null ? [] : [[exchange, price]])));
}
