/** A chart of a symbol's price, and of each exchange's own price, over time. */
import { memo, useRef, useState } from "react";
import "./PriceChart.css";
import { type ChartFailure, RANGES, useChart } from "./useChart.ts";

const FAILURES: Readonly<Record<ChartFailure, string>> = {
  code: "The chart could not be loaded. Reload the page to try again.",
  history: "The past could not be asked for: the chart begins when the page was opened. Trying again.",
};

interface Props {
  /** The symbol as its card asks for it: without a quote, the gateway decides. */
  readonly name: string;
  /** The symbol in full. */
  readonly symbol: string;
}

export const PriceChart = memo(function PriceChart({ name, symbol }: Props) {
  const [index, setIndex] = useState(0);
  const range = RANGES[index] ?? RANGES[0];
  const canvas = useRef<HTMLDivElement>(null);
  const failure = useChart(canvas, name, symbol, range);
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
      <div className="chart-canvas" ref={canvas} role="img" aria-label={`${symbol}, the last ${range.words}`} />
      {failure && (
        <p className="chart-failure" data-failure={failure}>
          {FAILURES[failure]}
        </p>
      )}
    </div>
  );
});
