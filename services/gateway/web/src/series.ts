/** A series of candles, oldest first, that is joined from answers and messages in any order. Pure. */
import type { Candle } from "./types.ts";

/** Return how a candle ranks among those of its start: a closed one, a later correction, then one with later tickers wins. */
const rankOf = ({ closed, revision, lastSeq, publishedTime }: Candle) => [+closed, revision, lastSeq ?? -1, publishedTime ?? 0];

const ANEW_MS = 10_000;

/**
 * Whether a candle takes the place of another one of the same start. Of two open ones, one that was published much later does in any
 * case: its numbers have begun anew, as after a loss of Redis. Both times are by Redis's clock.
 */
export function replaces(candle: Candle, known: Candle): boolean {
  const laterMs = (candle.publishedTime ?? 0) - (known.publishedTime ?? Number.POSITIVE_INFINITY);
  if (laterMs > ANEW_MS && !candle.closed && !known.closed) return true;
  const ranks = rankOf(known);
  const gains = rankOf(candle).map((rank, place) => rank - (ranks[place] ?? 0));
  return (gains.find((gain) => gain) ?? 0) > 0;
}

/** Return the series with these candles in it, at most the newest `limit`. If they have no news, it is the same array. */
export function merged(known: readonly Candle[], news: readonly Candle[], limit: number): readonly Candle[] {
  const byStart = new Map(known.map((candle) => [candle.start, candle]));
  let isChanged = false;
  for (const candle of news) {
    const before = byStart.get(candle.start);
    if (before && !replaces(candle, before)) continue;
    byStart.set(candle.start, Object.freeze(candle));
    isChanged = true;
  }
  return isChanged ? [...byStart.values()].sort((one, other) => one.start - other.start).slice(-limit) : known;
}

/**
 * Return the index of the first candle before which one may be missing, or the length if no candle is missing. The
 * gateway has told that it has no others up to the start `settledTo`.
 */
export function seamIn(candles: readonly Candle[], settledTo: number): number {
  const at = candles.findIndex(({ start }, index) => start > settledTo && (candles[index - 1]?.end ?? start) < start);
  return at < 0 ? candles.length : at;
}
