/** The chart's legend: each exchange's line style and newest price. */
import { memo } from "react";
import { formatPrice } from "../../format.ts";
import { exchangeName } from "../names.ts";
import { useSources } from "../sources.ts";
import "./Legend.css";
import { lineNumber } from "./lines.ts";

export const Legend = memo(function Legend({ symbol, dp }: { symbol: string; dp: number }) {
  const sources = [...useSources(symbol)].sort((a, b) => a.exchange.localeCompare(b.exchange));
  return (
    <ul className="legend">
      {sources.map(({ exchange, price, state }) => (
        <li key={exchange} data-line={lineNumber(exchange)} data-state={state}>
          <svg viewBox="0 0 16 2" aria-hidden="true">
            <path d="M0 1h16" />
          </svg>
          <span>{exchangeName(exchange)}</span>
          <span className="legend-price">{formatPrice(price, dp).plain}</span>
        </li>
      ))}
    </ul>
  );
});
