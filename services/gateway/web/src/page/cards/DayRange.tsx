/** Where the price stands between the day's low and high. */
import { formatPrice } from "../../format.ts";
import type { Ticker } from "../../types.ts";
import "./DayRange.css";

export function DayRange({ ticker: { price, low24h: low, high24h: high, dp } }: { ticker: Ticker }) {
  if (low === null || high === null) return null;
  const share = high > low ? Math.min(1, Math.max(0, (price - low) / (high - low))) : 0.5;
  const [from, to] = [formatPrice(low, dp), formatPrice(high, dp)];
  return (
    <div className="day-range">
      <span title={`Low of 24 hours: ${from.full}`}>{from.plain}</span>
      <span
        className="day-range-bar"
        role="img"
        aria-label={`${Math.round(100 * share)}% of the way from the 24 hours' low, ${from.full}, to the high, ${to.full}`}
      >
        <span style={{ insetInlineStart: `${100 * share}%` }} />
      </span>
      <span title={`High of 24 hours: ${to.full}`}>{to.plain}</span>
    </div>
  );
}
