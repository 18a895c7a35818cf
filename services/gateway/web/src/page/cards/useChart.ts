/** Puts a chart into an element, in the visitor's colours, with the visitor's choice of lines and the newest price in its tag. */
import { type RefObject, useEffect, useState } from "react";
import { useRealtimeClient } from "../../useRealtimeTicker.ts";
import { pausedAt, scheme, theme } from "../settings.ts";
import { useValue } from "../value.ts";
import type { DrawnChart } from "./drawChart.ts";
import { shownLines } from "./lines.ts";

/**
 * Return an element's chart: null while its code loads, "failed" if that could not be loaded. `name` is the symbol as its card names
 * it, and `symbol` the symbol in full.
 */
export function useChart(element: RefObject<HTMLElement | null>, name: string, symbol: string): DrawnChart | "failed" | null {
  const [chart, setChart] = useState<DrawnChart | "failed" | null>(null);
  const drawn = chart === "failed" ? null : chart;
  useTag(drawn, name);
  useLines(drawn, symbol);
  useRecolouring(drawn);

  useEffect(() => {
    let made: DrawnChart | null = null;
    let isGone = false;
    import("./drawChart.ts").then(
      ({ drawChart }) => {
        if (isGone || !element.current) return;
        made = drawChart(element.current);
        setChart(made);
      },
      () => setChart("failed"),
    );
    return () => {
      isGone = true;
      made?.remove();
      setChart(null);
    };
  }, [element]);

  return chart;
}

/** Show each live price in the chart's tag, in the frame in which the page's text shows it. */
function useTag(chart: DrawnChart | null, name: string) {
  const client = useRealtimeClient();
  const isPaused = useValue(pausedAt) !== null;
  useEffect(() => {
    if (!chart || isPaused) return;
    const store = client.symbol(name, { fields: ["dp"] });
    const show = () => {
      const { ticker, isConnected } = store.getSnapshot();
      if (ticker) chart.setDecimals(ticker.dp);
      chart.setTag(ticker && isConnected ? ticker.price : null);
    };
    show();
    return store.subscribe(show);
  }, [chart, client, name, isPaused]);
}

function useLines(chart: DrawnChart | null, symbol: string) {
  const shown = useValue(shownLines(symbol));
  useEffect(() => chart?.show(shown), [chart, shown]);
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
