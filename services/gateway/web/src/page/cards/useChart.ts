/** Puts a chart into an element and keeps it fed: history first, then what comes in. */
import { type RefObject, useEffect, useState } from "react";
import type { RealtimeClient, Ticker } from "../../types.ts";
import { useRealtimeClient } from "../../useRealtimeTicker.ts";
import { fetchHistory, type Resolution } from "../history.ts";
import { pausedAt, scheme, theme } from "../settings.ts";
import { useValue } from "../value.ts";
import { GAP_STEPS, type Grid, type Row, rowsOf, stepTime } from "./chartData.ts";
import type { DrawnChart } from "./drawChart.ts";

const REDRAW_MS = 250; // a chart's step is a second: more often is only heat

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

/** Draw a symbol's chart into the element. Returns whether that failed: its code could not be loaded. */
export function useChart(element: RefObject<HTMLElement | null>, symbol: string, range: Range): boolean {
  const client = useRealtimeClient();
  const isPaused = useValue(pausedAt) !== null;
  const [chart, setChart] = useState<DrawnChart | null>(null);
  const [hasFailed, setHasFailed] = useState(false);
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
      () => setHasFailed(true),
    );
    return () => {
      isGone = true;
      drawn?.remove();
      setChart(null);
    };
  }, [element]);

  useEffect(() => {
    if (!chart || isPaused) return; // what was missed is in the history when it goes on
    return feed(chart, client, symbol, range);
  }, [chart, client, symbol, range, isPaused]);

  return hasFailed;
}

/** Load the history into a chart, then follow the symbol until the returned function is called. */
function feed(chart: DrawnChart, client: RealtimeClient, symbol: string, { grid, resolution }: Range): () => void {
  const store = client.symbol(symbol);
  const abort = new AbortController();
  let frame = 0;
  let drawnAt = 0;
  let isDrawn = false;
  let newest: number | null = null; // the newest step drawn; null while the history is on its way

  async function load() {
    newest = null;
    const history = await fetchHistory(symbol, resolution, abort.signal);
    if (abort.signal.aborted) return;
    const rows = history ? rowsOf(history, grid) : [];
    const { ticker } = store.getSnapshot();
    newest = Math.max(rows.at(-1)?.time ?? 0, stepTime(ticker?.aggregatedTime ?? Date.now(), grid));
    if (ticker) chart.setDecimals(ticker.dp);
    if (history || !isDrawn) chart.load(rows, newest, grid); // else what is drawn stays, with a gap
    isDrawn = true;
    draw();
  }

  function draw() {
    frame = 0;
    const { ticker, isConnected } = store.getSnapshot();
    if (newest === null || !ticker || !isConnected) return;
    drawnAt = performance.now();
    const row = rowNow(ticker, grid);
    if (row.time - newest >= GAP_STEPS * grid.stepS) return void load(); // the page slept, perhaps, and prices went on
    newest = Math.max(newest, row.time);
    chart.setDecimals(ticker.dp);
    chart.add(row);
  }

  void load();
  const end = store.subscribe(() => {
    if (performance.now() - drawnAt >= REDRAW_MS) frame ||= requestAnimationFrame(draw);
  });
  return () => {
    abort.abort();
    end();
    cancelAnimationFrame(frame);
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
