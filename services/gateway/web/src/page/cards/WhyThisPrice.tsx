/** "Why this price?": a table of every exchange's price, how much it counts and why, and the sum that is the price. */
import { memo, useEffect, useState } from "react";
import { formatAge } from "../../format.ts";
import type { TickerMessage, TickerSource } from "../../types.ts";
import { isTicker } from "../../wire.ts";
import { exchangeName } from "../names.ts";
import { poll } from "../poll.ts";
import { pausedAt } from "../settings.ts";
import { useValue } from "../value.ts";
import "./WhyThisPrice.css";
import { contributions } from "./why.ts";

const EVERY_MS = 1000;

type WholeTicker = TickerMessage<"dp" | "sources">;

export const WhyThisPrice = memo(function WhyThisPrice({ symbol }: { symbol: string }) {
  const [isOpen, setIsOpen] = useState(false);
  return (
    <details className="why" onToggle={(event) => setIsOpen(event.currentTarget.open)}>
      <summary>Why this price?</summary>
      {isOpen && <Answer symbol={symbol} />}
    </details>
  );
});

function Answer({ symbol }: { symbol: string }) {
  const ticker = useWholeTicker(symbol);
  return ticker ? <Sources ticker={ticker} /> : <p>The exchanges' prices have not arrived yet.</p>;
}

/** Return the symbol's newest ticker with its sources, requested every second unless updates are paused. */
function useWholeTicker(symbol: string): WholeTicker | null {
  const isPaused = useValue(pausedAt) !== null;
  const [ticker, setTicker] = useState<WholeTicker | null>(null);
  useEffect(() => {
    if (isPaused) return;
    const url = `/api/ticker/${encodeURIComponent(symbol)}?fields=price,dp,sources`;
    return poll(
      () => url,
      EVERY_MS,
      (answer) => {
        const whole = answer as WholeTicker;
        if (isTicker(whole) && whole.sources) setTicker(whole);
      },
    );
  }, [symbol, isPaused]);
  return ticker;
}

function Sources({ ticker: { symbol, sources, price, dp } }: { ticker: WholeTicker }) {
  const sum = price === null ? null : contributions(sources, price, dp);
  const decimals = sum?.decimals ?? dp;
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: if the table is wider than the card, the keyboard must scroll it
    <section className="why-scroll" tabIndex={0} aria-label={`How the price of ${symbol} is computed`}>
      <table>
        <thead>
          <tr>
            <th scope="col">Exchange</th>
            <th scope="col">Price</th>
            <th scope="col">Used</th>
            <th scope="col">× Weight</th>
            <th scope="col">= Part</th>
            <th scope="col">Age</th>
            <th scope="col">State</th>
          </tr>
        </thead>
        <tbody>
          {sources.map((source, index) => (
            <Source key={source.exchange} source={source} part={sum?.parts[index] ?? null} dp={dp} decimals={decimals} />
          ))}
        </tbody>
        <tfoot>
          <tr>
            <th scope="row">{sum ? "Price" : "No sum"}</th>
            {sum ? (
              <>
                <td colSpan={2} />
                <td>{fixed(100, 1)}%</td>
                <td>{fixed(sum.total, decimals)}</td>
                <td colSpan={2} />
              </>
            ) : (
              <td colSpan={6}>{price === null ? "There is no price now." : "This is the last known price."}</td>
            )}
          </tr>
        </tfoot>
      </table>
    </section>
  );
}

interface SourceProps {
  readonly source: TickerSource;
  readonly part: number | null;
  readonly dp: number;
  readonly decimals: number;
}

function Source({ source: { exchange, price, usedPrice, weight, ageMs, state, reason }, part, dp, decimals }: SourceProps) {
  const isUsed = usedPrice !== null;
  return (
    <tr data-used={isUsed}>
      <th scope="row">{isUsed ? exchangeName(exchange) : <s>{exchangeName(exchange)}</s>}</th>
      <td>{isUsed ? fixed(price, dp) : <s>{fixed(price, dp)}</s>}</td>
      <td>{isUsed ? <Used usedPrice={usedPrice} price={price} dp={dp} /> : "–"}</td>
      <td>{isUsed ? `${fixed(100 * weight, 1)}%` : "–"}</td>
      <td>{part === null ? "–" : fixed(part, decimals)}</td>
      <td>{formatAge(ageMs)}</td>
      <td>{reason ? `${state}: ${reason}` : state}</td>
    </tr>
  );
}

function Used({ usedPrice, price, dp }: { usedPrice: number; price: number; dp: number }) {
  if (usedPrice === price) return fixed(usedPrice, dp);
  return <abbr title="Its own price is far from the others, so this nearer price is used instead">{fixed(usedPrice, dp)}</abbr>;
}

/** Format a number with exactly this many decimals, because every digit of a sum counts. */
function fixed(value: number, decimals: number): string {
  return value.toLocaleString(undefined, {
    minimumFractionDigits: decimals,
    maximumFractionDigits: decimals,
    numberingSystem: "latn",
  });
}
