/** Puts a chart into an element and keeps it fed: history first, then what comes in. */
import { type RefObject, useEffect, useState } from "react";
import type { RealtimeClient, Ticker } from "../../types.ts";
import { useRealtimeClient } from "../../useRealtimeTicker.ts";
import { ahead } from "../frames.ts";
import { fetchHistory, type Resolution } from "../history.ts";
import { pausedAt, scheme, theme } from "../settings.ts";
import { useValue } from "../value.ts";
import { GAP_STEPS, type Grid, type Row, rowsOf, stepTime } from "./chartData.ts";
import type { DrawnChart } from "./drawChart.ts";

/** What could not be had: the chart's own code, or the past that it would draw. */
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

/** Draw a symbol's chart into the element. Returns what failed, if anything did. */
export function useChart(element: RefObject<HTMLElement | null>, symbol: string, range: Range): ChartFailure | null {
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
    if (!chart || isPaused) return; // what was missed is in the history when it goes on
    return feed(chart, client, symbol, range, (hasFailed) => setFailure(hasFailed ? "history" : null));
  }, [chart, client, symbol, range, isPaused]);

  return failure;
}

/**
 * Load the history into a chart, and follow the symbol until the returned function is called. Meanwhile what is drawn goes on:
 * its tag on the axis is the price that the page shows.
 */
function feed(
  chart: DrawnChart,
  client: RealtimeClient,
  symbol: string,
  { grid, resolution }: Range,
  tellFailure: (hasFailed: boolean) => void,
): () => void {
  const store = client.symbol(symbol);
  const abort = new AbortController();
  let newest = 0; // the newest step drawn
  let isLoading = false;
  let drawn: Ticker | null = null;

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
      if (chart.grid !== grid) begin([]); // else what is drawn stays
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
    const row = rowNow(ticker, chart.grid);
    if (row.time - newest >= GAP_STEPS * grid.stepS && newest) void load(); // the page slept, perhaps, and prices went on
    newest = Math.max(newest, row.time);
    chart.setDecimals(ticker.dp);
    chart.add(row);
  }

  if (!chart.grid) begin([]);
  draw();
  void load();
  const end = ahead(store)(draw);
  return () => {
    abort.abort();
    end();
  };
}

function rowNow({ price, sources, aggregatedTime }: Ticker, grid: Grid): Row {
  const heard = sources.filter((source) => source.state !== "stale");
  return {
    time: stepTime(aggregatedTime, grid),
    price,
    sources: Object.fromEntries(heard.map((source) => [source.exchange, source.price])),
  };
}

/** Have the chart take its colours anew when they change: by the visitor's choice, or by the system's. */
function useRecolouring(chart: DrawnChart | null) {
  const colours = `${useValue(theme)} ${useValue(scheme)}`;
  // biome-ignore lint/correctness/useExhaustiveDependencies: the choice is what the colours come from
  useEffect(() => {
    if (!chart) return;
    chart.recolour();
    const dark = matchMedia("(prefers-color-scheme: dark)");
    dark.addEventListener("change", chart.recolour);
    return () => dark.removeEventListener("change", chart.recolour);
  }, [chart, colours]);
}
