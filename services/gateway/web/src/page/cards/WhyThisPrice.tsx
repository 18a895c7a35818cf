/** "Why this price?": a table of every exchange's price, how much it counts and why, and the sum that is the price. */
import { memo, useEffect, useState } from "react";
import { formatAge, formatAgo } from "../../format.ts";
import type { Quality, TickerMessage, TickerSource } from "../../types.ts";
import { isTicker } from "../../wire.ts";
import { exchangeName, symbolName } from "../names.ts";
import { poll } from "../poll.ts";
import { pausedAt } from "../settings.ts";
import { useValue } from "../value.ts";
import "./WhyThisPrice.css";
import { contributions, type Rate, ratesOf } from "./why.ts";

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
  if (!ticker) return <p>The exchanges' prices have not arrived yet.</p>;
  const isEstimated = ticker.sources.some((source) => source.quoteVolumeEstimated);
  return (
    <>
      <Sources ticker={ticker} />
      {ratesOf(ticker.sources).map((rate) => (
        <RateNote key={rate.symbol} rate={rate} />
      ))}
      {isEstimated && (
        <p className="why-note">
          ≈ The exchange does not tell its 24-hour turnover, by which it is weighted: it is estimated from its volume.
        </p>
      )}
    </>
  );
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
  const isConverted = sources.some((source) => source.via);
  const { quote } = symbolName(symbol);
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: if the table is wider than the card, the keyboard must scroll it
    <section className="why-scroll" tabIndex={0} aria-label={`How the price of ${symbol} is computed`}>
      <table>
        <thead>
          <tr>
            <th scope="col">Exchange</th>
            {isConverted && <th scope="col">Own price × rate</th>}
            <th scope="col">{isConverted ? `= ${quote}` : quote}</th>
            <th scope="col">Used</th>
            <th scope="col">× Weight</th>
            <th scope="col">= Part</th>
            <th scope="col">Age</th>
            <th scope="col">State</th>
          </tr>
        </thead>
        <tbody>
          {sources.map((source, index) => (
            <Source
              key={source.exchange}
              source={source}
              isConverted={isConverted}
              part={sum?.parts[index] ?? null}
              dp={dp}
              decimals={decimals}
            />
          ))}
        </tbody>
        <tfoot>
          <tr>
            <th scope="row">{sum ? "Price" : "No sum"}</th>
            {sum ? (
              <>
                <td colSpan={isConverted ? 3 : 2} />
                <td>{fixed(100, WEIGHT_DECIMALS)}%</td>
                <td>{fixed(sum.total, decimals)}</td>
                <td colSpan={2} />
              </>
            ) : (
              <td colSpan={isConverted ? 7 : 6}>
                {price === null ? "There is no price now." : "This is the last known price."}
              </td>
            )}
          </tr>
        </tfoot>
      </table>
    </section>
  );
}

interface SourceProps {
  readonly source: TickerSource;
  /** Whether the table has a column for prices before conversion. */
  readonly isConverted: boolean;
  readonly part: number | null;
  readonly dp: number;
  readonly decimals: number;
}

function Source({ source, isConverted, part, dp, decimals }: SourceProps) {
  const { exchange, price, usedPrice, weight, ageMs, state, reason, quoteVolumeEstimated } = source;
  const isUsed = price !== null && usedPrice !== null;
  const own = price === null ? "no price" : fixed(price, dp);
  return (
    <tr data-used={isUsed}>
      <th scope="row">{isUsed ? exchangeName(exchange) : <s>{exchangeName(exchange)}</s>}</th>
      {isConverted && <td>{factorsOf(source, dp)}</td>}
      <td>{isUsed || price === null ? own : <s>{own}</s>}</td>
      <td>{isUsed ? <Used usedPrice={usedPrice} price={price} dp={dp} /> : "–"}</td>
      <td>{isUsed ? `${quoteVolumeEstimated ? "≈ " : ""}${fixed(100 * weight, WEIGHT_DECIMALS)}%` : "–"}</td>
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

/** Return what a converted source's price is the product of: its own price, and the rate. */
function factorsOf({ ownPrice, via }: TickerSource, dp: number): string {
  if (!via || ownPrice === undefined) return "–";
  const { base } = symbolName(via.symbol);
  return `${fixed(ownPrice, dp)} ${base} × ${via.price === null ? "–" : exact(via.price)}`;
}

const RATE_WORDS: Partial<Record<Quality, string>> = {
  ok: "several exchanges agree on it",
  single: "only one exchange has it",
  disputed: "the exchanges disagree on it, so it does not count",
  stale: "no exchange confirms it, so it does not count",
  down: "it does not count",
};

/** Says how far to trust the rate that converts the prices of other markets. */
function RateNote({ rate: { symbol, price, confidence, quality, ageMs } }: { rate: Rate }) {
  const { base, quote } = symbolName(symbol);
  const words = RATE_WORDS[quality] ?? quality;
  if (price === null)
    return (
      <p className="why-note">
        Rate: there is no price of {base} in {quote} now, so prices in {base} do not count.
      </p>
    );
  return (
    <p className="why-note">
      Rate: {base} is {exact(price)} {quote}
      {confidence !== null && ` ± ${exact(confidence)}`}, {quality}: {words};{" "}
      {ageMs === null ? "fewer than two fresh markets" : formatAgo(ageMs, "old")}.
    </p>
  );
}

const WEIGHT_DECIMALS = 2;

/** Format a number with all of its digits. */
function exact(value: number): string {
  return value.toLocaleString(undefined, { minimumFractionDigits: 4, maximumFractionDigits: 20, numberingSystem: "latn" });
}

/** Format a number with exactly this many decimals, because every digit of a sum counts. */
function fixed(value: number, decimals: number): string {
  return value.toLocaleString(undefined, {
    minimumFractionDigits: decimals,
    maximumFractionDigits: decimals,
    numberingSystem: "latn",
  });
}
