/** The chart's legend: each exchange's line style and current price. */
import { formatPrice } from "../../format.ts";
import type { TickerMessage } from "../../types.ts";
import { exchangeName } from "../names.ts";
import "./Legend.css";
import { lineNumber } from "./lines.ts";

export function Legend({ ticker }: { ticker: TickerMessage | null }) {
  const sources = [...(ticker?.sources ?? [])].sort((a, b) => a.exchange.localeCompare(b.exchange));
  return (
    <ul className="legend">
      {sources.map(({ exchange, price, state }) => (
        <li key={exchange} data-line={lineNumber(exchange)} data-state={state}>
          <svg viewBox="0 0 16 2" aria-hidden="true">
            <path d="M0 1h16" />
          </svg>
          <span>{exchangeName(exchange)}</span>
          <span className="legend-price">{formatPrice(price, ticker?.dp ?? 2).plain}</span>
        </li>
      ))}
    </ul>
  );
}
