/** A chart of a symbol's price, and of each exchange's own price, over time. */
import { memo, type ReactNode, useRef, useState } from "react";
import { type Interval, useCandles } from "../../useCandles.ts";
import { sentence } from "../parts/words.ts";
import { pausedAt } from "../settings.ts";
import { useValue } from "../value.ts";
import { useCandleRows } from "./candles.ts";
import type { Grid } from "./chartData.ts";
import type { DrawnChart } from "./drawChart.ts";
import "./PriceChart.css";
import { FIRST_RANGE, RANGES } from "./ranges.ts";
import { useSeconds } from "./seconds.ts";
import { useChart } from "./useChart.ts";

interface Props {
  /** The symbol as its card asks for it: without a quote, the gateway decides. */
  readonly name: string;
  /** The symbol in full; null until it is known. */
  readonly symbol: string | null;
}

export const PriceChart = memo(function PriceChart({ name, symbol }: Props) {
  const [index, setIndex] = useState<number>(FIRST_RANGE);
  const { words, interval, grid } = RANGES[index] ?? RANGES[FIRST_RANGE];
  const canvas = useRef<HTMLDivElement>(null);
  const chart = useChart(canvas, name, symbol ?? name);
  const isPaused = useValue(pausedAt) !== null; // when updates go on, the history contains what was missed
  return (
    <div className="chart">
      <fieldset className="chart-ranges">
        <legend className="visually-hidden">Time shown</legend>
        {RANGES.map(({ label }, number) => (
          <button
            key={label}
            type="button"
            className="plain-button"
            aria-pressed={number === index}
            onClick={() => setIndex(number)}
          >
            {label}
          </button>
        ))}
      </fieldset>
      <div className="chart-canvas" ref={canvas} role="img" aria-label={`${symbol ?? name}, the last ${words}`} />
      {chart === "failed" && <Note isInstead>The chart could not be loaded. Reload the page to try again.</Note>}
      {interval && !isPaused && <CandlesWish name={name} interval={interval} grid={grid} />}
      {symbol && chart && chart !== "failed" && !isPaused && (
        <Prices key={interval} chart={chart} name={name} symbol={symbol} interval={interval} grid={grid} />
      )}
    </div>
  );
});

/** Asks for a range's candles before the chart can draw, so that the page's first stream carries them. It renders nothing. */
function CandlesWish({ name, interval, grid }: { name: string; interval: Interval; grid: Grid }) {
  useCandles(name, interval, { limit: grid.steps });
  return null;
}

interface PricesProps {
  readonly name: string;
  readonly symbol: string;
  readonly chart: DrawnChart;
  readonly interval: Interval | null;
  readonly grid: Grid;
}

/** Draws the prices of a range into the chart. If they could not be loaded, it renders a note. */
function Prices({ interval, ...props }: PricesProps) {
  return interval ? <Candles {...props} interval={interval} /> : <Seconds {...props} />;
}

function Seconds({ chart, name, symbol, grid }: Omit<PricesProps, "interval">) {
  const hasFailed = useSeconds(chart, name, symbol, grid);
  if (!hasFailed) return null;
  return <Note>The past could not be asked for: the chart begins when the page was opened. Trying again.</Note>;
}

export function Candles({ chart, name, symbol, interval, grid }: PricesProps & { interval: Interval }) {
  const { status, problem } = useCandleRows(chart, name, symbol, interval, grid);
  if (status === "unavailable") return <Note>There are no candles to draw. {problem && sentence(problem.message)}</Note>;
  if (status === "stale" || status === "offline") return <Note>New candles do not arrive: the line may end too early.</Note>;
  return null;
}

/** A sentence about the chart, above its lines or, if `isInstead`, in their place. */
function Note({ isInstead = false, children }: { isInstead?: boolean; children: ReactNode }) {
  return (
    <p className="chart-note" data-instead={isInstead || undefined}>
      {children}
    </p>
  );
}
