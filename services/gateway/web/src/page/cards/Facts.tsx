/** A symbol's figures of the last 24 hours, and its spread. */
import { formatVolume } from "../../format.ts";
import type { Ticker } from "../../types.ts";
import { symbolName } from "../names.ts";
import { DayRange } from "./DayRange.tsx";
import "./Facts.css";

export const FACTS_FIELDS = ["dp", "low24h", "high24h", "volume24h", "quoteVolume24h", "spreadBps"] as const;

const FIGURE_SPACE = "\u2007"; // as wide as a digit, so that a figure that gains a digit does not move

interface Props {
  readonly symbol: string;
  /** Null until the first price arrives. The figures' places are kept free. */
  readonly ticker: Ticker<(typeof FACTS_FIELDS)[number]> | null;
}

export function Facts({ symbol, ticker }: Props) {
  const { base, quote } = symbolName(symbol);
  const { volume24h = null, quoteVolume24h = null, spreadBps = null } = ticker ?? {};
  return (
    <>
      <DayRange ticker={ticker} />
      <dl className="facts">
        <dt>24 h volume</dt>
        <dd>
          {formatVolume(volume24h)} <span className="unit">{base}</span>
        </dd>
        <dt>24 h turnover</dt>
        <dd>
          {formatVolume(quoteVolume24h)} <span className="unit">{quote}</span>
        </dd>
        <dt>Spread</dt>
        <dd title="Between the highest and the lowest exchange price, in hundredths of a percent">
          {spreadBps === null ? "–" : spreadBps.toFixed(2).padStart(6, FIGURE_SPACE)}{" "}
          {spreadBps !== null && <span className="unit">bps</span>}
        </dd>
      </dl>
    </>
  );
}
