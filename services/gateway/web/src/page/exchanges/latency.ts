/** Computes how long prices take from the exchange to this page, and how far this browser's clock is off. Pure. */
import type { Ticker } from "../../types.ts";

const MOST_SAMPLES = 200;
const FRESH_MS = 30_000;

/** The times of one price in Unix milliseconds, each by the clock of the part that measured it. */
export interface Sample {
  readonly heardAt: number;
  readonly exchangeTime: number;
  readonly receivedTime: number;
  readonly aggregatedTime: number;
  readonly publisher: string; // the aggregator whose clock measured aggregatedTime
}

/** Medians in milliseconds. Each may belong to another price, so the hops need not add up to the total. */
export interface Latency {
  readonly total: number;
  readonly exchangeToIngest: number;
  readonly ingestToAggregator: number;
  readonly aggregatorToBrowser: number;
  readonly samples: number;
}

/** Return the median: the middle number, or the mean of the middle two; NaN if there are no numbers. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  return (at(sorted, Math.ceil(middle) - 1) + at(sorted, Math.floor(middle))) / 2;
}

/** Collects samples from arriving tickers, and keeps the newest ones. */
export class LatencyMeter {
  private samples: Sample[] = [];
  private readonly newest = new Map<string, number>(); // each symbol's newest exchange time

  /** Add a ticker that arrived at `heardAt`. Only a ticker with newer data from an exchange is a sample. */
  take({ symbol, exchangeTime, receivedTime, aggregatedTime, publisher }: Ticker<"exchangeTime">, heardAt: number) {
    if (exchangeTime === null || receivedTime === null) return;
    const before = this.newest.get(symbol);
    this.newest.set(symbol, exchangeTime);
    if (before === undefined || exchangeTime <= before) return; // a snapshot or a repetition: it was old when it was sent
    this.samples.push({ heardAt, exchangeTime, receivedTime, aggregatedTime, publisher: publisher ?? "" });
    if (this.samples.length > MOST_SAMPLES) this.samples = this.samples.slice(-MOST_SAMPLES / 2);
  }

  /**
   * Return the medians of the last half minute, or null without samples. `measuredMs` is the measured offset of the clocks:
   * the gateway's time minus this browser's.
   */
  read(measuredMs: number, now: number): Latency | null {
    const recent = this.samples.filter((sample) => now - sample.heardAt < FRESH_MS);
    if (!recent.length) return null;
    // No price can arrive before it was made. If a price seems to, either the measured offset is wrong by at least that much,
    // or its publisher's clock is ahead. So find the offset of each publisher from its own prices. The smallest of them, from
    // the publisher least ahead, corrects the measured offset.
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

/** One comparison of clocks: a request was sent at `sentAt`, answered at `gatewayTime`, and the answer arrived at `heardAt`. */
export interface ClockReading {
  readonly sentAt: number;
  readonly heardAt: number;
  readonly gatewayTime: number;
}

/**
 * Return the gateway's time minus this browser's and the largest possible error, both in milliseconds; null without readings.
 * Of all readings, the one with the shortest round trip is used. The gateway answered at some moment of that round trip;
 * the middle is the best estimate.
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
