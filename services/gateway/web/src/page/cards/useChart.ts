/** Puts a chart into an element and fills it: first from the gateway's history, then from the live stream. */
import { type RefObject, useEffect, useState } from "react";
import type { Store, SymbolState, Ticker } from "../../types.ts";
import { useRealtimeClient } from "../../useRealtimeTicker.ts";
import { ahead } from "../frames.ts";
import { fetchHistory, type Resolution } from "../history.ts";
import { pausedAt, scheme, theme } from "../settings.ts";
import { readSources, type Sources, sourcesOf } from "../sources.ts";
import { useValue } from "../value.ts";
import { GAP_STEPS, type Grid, type Row, rowsOf, stepTime } from "./chartData.ts";
import type { DrawnChart } from "./drawChart.ts";
import { shownLines } from "./lines.ts";

/** The part that could not be loaded: the chart's own code, or the history that it draws. */
export type ChartFailure = "code" | "history";

export interface Range {
  readonly label: string;
  readonly words: string;
  readonly resolution: Resolution;
  readonly grid: Grid;
}

export const RANGES = [
  { label: "10 min", words: "10 minutes", resolution: "1s", grid: { stepS: 1, steps: 600 } },
  { label: "24 h", words: "24 hours", resolution: "1m", grid: { stepS: 60, steps: 1440 } },
] as const satisfies readonly Range[];

/**
 * Draw a symbol's chart into the element. Return the part that could not be loaded, or null. The stream is asked for `name`,
 * the symbol as its card names it, so that the chart takes part in the card's wish.
 */
export function useChart(
  element: RefObject<HTMLElement | null>,
  name: string,
  symbol: string,
  range: Range,
): ChartFailure | null {
  const client = useRealtimeClient();
  const isPaused = useValue(pausedAt) !== null;
  const [chart, setChart] = useState<DrawnChart | null>(null);
  const [failure, setFailure] = useState<ChartFailure | null>(null);
  useRecolouring(chart);

  useEffect(() => {
    let drawn: DrawnChart | null = null;
    let isGone = false;
    import("./drawChart.ts").then(
      ({ drawChart }) => {
        if (isGone || !element.current) return;
        drawn = drawChart(element.current);
        setChart(drawn);
      },
      () => setFailure("code"),
    );
    return () => {
      isGone = true;
      drawn?.remove();
      setChart(null);
    };
  }, [element]);

  useEffect(() => {
    if (!chart || isPaused) return; // when updates go on, the history contains what was missed
    return feed(chart, client.symbol(name, { fields: ["dp"] }), symbol, range, (hasFailed) =>
      setFailure(hasFailed ? "history" : null),
    );
  }, [chart, client, name, symbol, range, isPaused]);

  return failure;
}

/**
 * Load the history into a chart, and draw the symbol's prices until the returned function is called. While the history loads,
 * live prices are drawn already, so that the tag on the axis is always the price that the page shows.
 */
function feed(
  chart: DrawnChart,
  store: Store<SymbolState<"dp">>,
  symbol: string,
  { grid, resolution }: Range,
  tellFailure: (hasFailed: boolean) => void,
): () => void {
  const sources = sourcesOf(symbol);
  const lines = shownLines(symbol);
  const abort = new AbortController();
  let newest = 0; // the time of the newest step drawn
  let isLoading = false;
  let drawn: Ticker<"dp"> | null = null;
  let drawnSources = sources.get();
  let hiddenAt = 0; // when the page was last hidden, by the same clock as the prices' arrival

  function begin(rows: readonly Row[]) {
    const { ticker } = store.getSnapshot();
    newest = Math.max(rows.at(-1)?.time ?? 0, stepTime(ticker?.aggregatedTime ?? Date.now(), grid));
    if (ticker) chart.setDecimals(ticker.dp);
    chart.load(rows, newest, grid);
    drawn = null;
    draw();
  }

  async function load() {
    if (isLoading) return;
    isLoading = true;
    const history = await fetchHistory(symbol, resolution, abort.signal, undefined, () => {
      tellFailure(true);
      if (chart.grid !== grid) begin([]); // on the same grid, the drawn prices stay
    });
    isLoading = false;
    if (abort.signal.aborted) return;
    tellFailure(false);
    if (history || chart.grid !== grid) begin(history ? rowsOf(history, grid) : []);
  }

  function draw() {
    const { ticker, isConnected } = store.getSnapshot();
    chart.setTagged(isConnected);
    if (!ticker || !isConnected || ticker === drawn || !chart.grid) return;
    drawn = ticker;
    const told = sources.get();
    const row = rowNow(ticker, told === drawnSources ? [] : told, chart.grid);
    drawnSources = told;
    if (row.time - newest >= GAP_STEPS * grid.stepS && newest) void load(); // the page may have slept and missed prices
    newest = Math.max(newest, row.time);
    chart.setDecimals(ticker.dp);
    chart.add(row);
  }

  const showLines = () => chart.show(lines.get());
  showLines();
  if (!chart.grid) begin([]);
  draw();
  void load();
  /** Load what came more rarely, or not at all, while the page was hidden. */
  function look() {
    if (document.hidden) hiddenAt = Date.now();
    else if (Date.now() - hiddenAt >= 1000 * GAP_STEPS * grid.stepS) void load();
  }

  document.addEventListener("visibilitychange", look);
  const end = ahead(store)(draw);
  const endLines = lines.subscribe(showLines);
  const endSources = readSources(symbol);
  return () => {
    abort.abort();
    document.removeEventListener("visibilitychange", look);
    end();
    endLines();
    endSources();
  };
}

function rowNow({ price, aggregatedTime }: Ticker<"dp">, sources: Sources, grid: Grid): Row {
  const heard = sources.filter((source) => source.state !== "stale");
  return {
    time: stepTime(aggregatedTime, grid),
    price,
    sources: Object.fromEntries(heard.flatMap(({ exchange, price }) => (price === null ? [] : [[exchange, price]]))),
  };
}

/** Make the chart read its colours again when the visitor's choice or the system's theme changes them. */
function useRecolouring(chart: DrawnChart | null) {
  const colours = `${useValue(theme)} ${useValue(scheme)}`;
  // biome-ignore lint/correctness/useExhaustiveDependencies: the colours depend on the visitor's choice
  useEffect(() => {
    if (!chart) return;
    chart.recolour();
    const dark = matchMedia("(prefers-color-scheme: dark)");
    dark.addEventListener("change", chart.recolour);
    return () => dark.removeEventListener("change", chart.recolour);
  }, [chart, colours]);
}
