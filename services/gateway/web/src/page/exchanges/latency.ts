/** How long a price takes from the exchange to this page, and how this browser's clock differs from the gateway's. Pure. */
import type { Ticker } from "../../types.ts";

const MOST_SAMPLES = 200;
const FRESH_MS = 30_000;

/** Milliseconds that one price took: in all where the exchange says when it happened, and from part to part. */
export interface Sample {
  readonly heardAt: number;
  readonly exchangeTime: number;
  readonly receivedTime: number;
  readonly aggregatedTime: number;
  readonly publisher: string; // by whose clock aggregatedTime is
}

/** Medians in milliseconds. They belong to different prices, so they need not add up. */
export interface Latency {
  readonly total: number;
  readonly exchangeToIngest: number;
  readonly ingestToAggregator: number;
  readonly aggregatorToBrowser: number;
  readonly samples: number;
}

/** Return the middle of some numbers; of an even number of them, the mean of the middle two. NaN of none. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  return (at(sorted, Math.ceil(middle) - 1) + at(sorted, Math.floor(middle))) / 2;
}

/** Collects samples from tickers as they come in; keeps the newest ones. */
export class LatencyMeter {
  private samples: Sample[] = [];
  private readonly newest = new Map<string, number>();

  /** Take a ticker that came at `heardAt`. Only one that brings news of an exchange tells how long news takes. */
  take({ symbol, exchangeTime, receivedTime, aggregatedTime, publisher }: Ticker, heardAt: number) {
    if (exchangeTime === null || receivedTime === null) return;
    const before = this.newest.get(symbol);
    this.newest.set(symbol, exchangeTime);
    if (before === undefined || exchangeTime <= before) return; // a snapshot, or a repetition: older than it took to come
    this.samples.push({ heardAt, exchangeTime, receivedTime, aggregatedTime, publisher: publisher ?? "" });
    if (this.samples.length > MOST_SAMPLES) this.samples = this.samples.slice(-MOST_SAMPLES / 2);
  }

  /** Return the medians of the last half minute, or null if there was nothing. `measuredMs`: gateway's clock less this one's. */
  read(measuredMs: number, now: number): Latency | null {
    const recent = this.samples.filter((sample) => now - sample.heardAt < FRESH_MS);
    if (!recent.length) return null;
    // No price comes before it was made: where the measurement says so, it is wrong by at least as much. Or the publisher's
    // clock is ahead, so each is compared with its own prices alone, and the measurement with those of the one least ahead.
    const aheadMs: Record<string, number> = {};
    for (const { aggregatedTime, heardAt, publisher } of recent)
      aheadMs[publisher] = Math.max(aheadMs[publisher] ?? measuredMs, aggregatedTime - heardAt);
    const offsetMs = Math.min(...Object.values(aheadMs));
    const of = (measure: (sample: Sample) => number) => median(recent.map(measure));
    return {
      total: of(({ heardAt, exchangeTime }) => heardAt + offsetMs - exchangeTime),
      exchangeToIngest: of(({ receivedTime, exchangeTime }) => receivedTime - exchangeTime),
      ingestToAggregator: of(({ aggregatedTime, receivedTime }) => aggregatedTime - receivedTime),
      aggregatorToBrowser: of((one) => one.heardAt + (aheadMs[one.publisher] ?? offsetMs) - one.aggregatedTime),
      samples: recent.length,
    };
  }
}

/** One comparison of clocks: a request left at `sentAt` and its answer, made at `gatewayTime`, came at `heardAt`. */
export interface ClockReading {
  readonly sentAt: number;
  readonly heardAt: number;
  readonly gatewayTime: number;
}

/**
 * Return the gateway's clock less this one's, and by how much that may be wrong, from the reading whose way was the shortest;
 * null without a reading. The answer was made somewhere within the round trip: in its middle, as far as anyone can tell.
 */
export function clockOffset(readings: readonly ClockReading[]): { offsetMs: number; errorMs: number } | null {
  const [best] = [...readings].sort((a, b) => a.heardAt - a.sentAt - (b.heardAt - b.sentAt));
  if (!best) return null;
  const halfWay = (best.heardAt - best.sentAt) / 2;
  return { offsetMs: best.gatewayTime + halfWay - best.heardAt, errorMs: halfWay };
}

function at(values: readonly number[], index: number): number {
  return values[index] ?? Number.NaN;
}
