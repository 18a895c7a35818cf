/** One symbol's card: its price, figures, chart, and how the price is computed. */
import { memo } from "react";
import { formatPrice } from "../../format.ts";
import { trustOf } from "../../trust.ts";
import { symbolName } from "../names.ts";
import { Change } from "../parts/Change.tsx";
import { Price } from "../parts/Price.tsx";
import { useShownState } from "../parts/useShownState.ts";
import { FACTS_FIELDS, Facts } from "./Facts.tsx";
import { Legend } from "./Legend.tsx";
import { PriceChart } from "./PriceChart.tsx";
import { QUALITY_FIELDS, QualityLine } from "./QualityLine.tsx";
import "./SymbolCard.css";
import { UnknownSymbol } from "./UnknownSymbol.tsx";
import { WhyThisPrice } from "./WhyThisPrice.tsx";

const FIELDS = ["change24h", "changePercent24h", ...QUALITY_FIELDS, ...FACTS_FIELDS] as const;

interface Props {
  /** The symbol as it is asked for: without a quote, the gateway decides. */
  readonly symbol: string;
  readonly onRemove: (symbol: string) => void;
  /** Shows another symbol (`by`) in the place of this one. */
  readonly onReplace: (symbol: string, by: string) => void;
}

export const SymbolCard = memo(function SymbolCard({ symbol, onRemove, onReplace }: Props) {
  const { state, lastTicker, isPaused } = useShownState(symbol, FIELDS);
  const full = lastTicker?.symbol ?? symbol; // the symbol that the gateway made of `BTC`
  const { base, quote, coin } = symbolName(full);
  const trust = trustOf(state);
  const name = quote ? `${base} in ${quote}` : base;
  const isOld = trust === "stale" || trust === "offline";
  const isUnknown = state.error?.code === "unknown_symbol" && !lastTicker;
  const dp = lastTicker?.dp ?? 2;
  return (
    <article className="card" id={symbol} tabIndex={-1} aria-label={full} data-trust={trust}>
      <header className="card-header">
        <h2>
          {base} {coin && coin !== base && <span className="card-coin">{coin}</span>}
        </h2>
        <button type="button" className="plain-button card-remove" onClick={() => onRemove(symbol)}>
          <svg viewBox="0 0 12 12" aria-hidden="true">
            <path d="m2 2 8 8m0-8-8 8" />
          </svg>
          <span className="visually-hidden">Remove {name}</span>
        </button>
      </header>
      {isUnknown ? (
        <UnknownSymbol symbol={symbol} error={state.error} onChoose={(by) => onReplace(symbol, by)} />
      ) : (
        <div className="card-body">
          <div className="card-figures">
            <div className="card-price">
              <Price price={lastTicker?.price ?? null} dp={dp} quote={quote} isOld={isOld} />
            </div>
            <p className="card-change">
              <Change percent={lastTicker?.changePercent24h ?? null} isOld={isOld} />
              <span className="unit" title="Change in 24 hours">
                {signed(lastTicker?.change24h ?? Number.NaN, dp)}
              </span>
            </p>
            <QualityLine symbol={symbol} state={state} isPaused={isPaused} />
            <Facts symbol={full} ticker={lastTicker} />
          </div>
          <div className="card-chart">
            <PriceChart name={symbol} symbol={lastTicker?.symbol ?? null} />
            {lastTicker ? <Legend symbol={full} dp={dp} /> : <ul className="legend" />}
          </div>
          <div className="card-why">
            <WhyThisPrice symbol={full} />
          </div>
        </div>
      )}
    </article>
  );
});

function signed(change: number, dp: number): string {
  if (Number.isNaN(change)) return "";
  return `${change < 0 ? "−" : "+"}${formatPrice(Math.abs(change), dp).plain}`;
}
