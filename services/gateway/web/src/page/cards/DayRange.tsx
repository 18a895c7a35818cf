/** Shows where the price stands between the low and the high of the last 24 hours. */
import { formatPrice } from "../../format.ts";
import type { Ticker } from "../../types.ts";
import "./DayRange.css";

export function DayRange({ ticker }: { ticker: Ticker<"dp" | "low24h" | "high24h"> | null }) {
  const { price = 0, low24h: low = null, high24h: high = null, dp = 2 } = ticker ?? {};
  const [from, to] = [formatPrice(low, dp), formatPrice(high, dp)];
  const isKnown = low !== null && high !== null;
  const share = isKnown && high > low ? Math.min(1, Math.max(0, (price - low) / (high - low))) : 0.5;
  return (
    <div className="day-range">
      <span title="24-hour low">{from.plain}</span>
      <span
        className="day-range-bar"
        role="img"
        aria-label={
          isKnown
            ? `${Math.round(100 * share)}% of the way from the 24-hour low, ${from.full}, to the high, ${to.full}`
            : "24-hour low and high: not known"
        }
      >
        {isKnown && <span style={{ translate: `${100 * share}cqi` }} />}
      </span>
      <span title="24-hour high">{to.plain}</span>
    </div>
  );
}
