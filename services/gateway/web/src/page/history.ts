/** What was, from the gateway. */

/** Prices at times, oldest first. Where nothing is known there is no entry: gaps are gaps. */
export interface History {
  /** Unix milliseconds. */
  readonly times: readonly number[];
  readonly prices: readonly number[];
  /** Each exchange's own prices at the same times; null where it had none. */
  readonly sources: Readonly<Record<string, readonly (number | null)[]>>;
}

export type Resolution = "1s" | "1m";

const NOTHING: History = { times: [], prices: [], sources: {} };

/** Fetch a symbol's history: ten minutes of seconds or a day of minutes, as at most `maxPoints`. Empty where there is none. */
export async function fetchHistory(
  symbol: string,
  resolution: Resolution,
  maxPoints: number,
  signal: AbortSignal,
): Promise<History> {
  try {
    const query = new URLSearchParams({ resolution, max_points: String(maxPoints) });
    const response = await fetch(`/api/history/${encodeURIComponent(symbol)}?${query}`, { signal });
    return response.ok ? await response.json() : NOTHING;
  } catch {
    return NOTHING; // a line that begins now is better than an error about the past
  }
}
