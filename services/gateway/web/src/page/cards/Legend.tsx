/** The chart's legend: each exchange's line style and newest price. Each is a button that shows or hides the exchange's line. */
import { memo, useEffect } from "react";
import { formatPrice } from "../../format.ts";
import { exchangeName } from "../names.ts";
import { useSources } from "../sources.ts";
import { useValue } from "../value.ts";
import "./Legend.css";
import { lineNumber, showHeaviest, shownLines, toggleLine } from "./lines.ts";

export const Legend = memo(function Legend({ symbol, dp }: { symbol: string; dp: number }) {
  const list = useSources(symbol);
  const shown = useValue(shownLines(symbol));
  useEffect(() => showHeaviest(symbol, list), [symbol, list]);
  const sources = [...list].sort((a, b) => a.exchange.localeCompare(b.exchange));
  return (
    <ul className="legend">
      {sources.map(({ exchange, price, state }) => (
        <li key={exchange}>
          <button
            type="button"
            className="plain-button"
            aria-pressed={shown.includes(exchange)}
            title="Show or hide its line in the chart"
            data-line={lineNumber(exchange)}
            data-state={state}
            onClick={() => toggleLine(symbol, exchange)}
          >
            <svg viewBox="0 0 20 4" aria-hidden="true">
              <path d="M0 2h20" />
            </svg>
            <span>{exchangeName(exchange)}</span> <span className="legend-price">{formatPrice(price, dp).plain}</span>
          </button>
        </li>
      ))}
    </ul>
  );
});
