/** Fetches a symbol's past prices from the gateway. */
import type { components } from "../api.ts";

export type History = components["schemas"]["History"];
export type Resolution = History["resolution"];

const ANSWER_WITHIN_MS = 10_000;
const RETRY_MS = 5000;
const LONGEST_RETRY_MS = 60_000;

/**
 * Fetch a symbol's history: ten minutes in steps of a second, or a day in steps of a minute, thinned to at most `maxPoints`
 * if given. If a request fails, call `onFailure` and retry, until the signal aborts. Return null if the gateway refuses the
 * request or the signal aborts.
 */
export async function fetchHistory(
  symbol: string,
  resolution: Resolution,
  signal: AbortSignal,
  maxPoints?: number,
  onFailure = () => {},
): Promise<History | null> {
  const query = new URLSearchParams({ resolution, ...(maxPoints && { max_points: String(maxPoints) }) });
  for (let retryMs = RETRY_MS; !signal.aborted; retryMs = Math.min(2 * retryMs, LONGEST_RETRY_MS)) {
    try {
      const within = AbortSignal.any([signal, AbortSignal.timeout(ANSWER_WITHIN_MS)]);
      const response = await fetch(`/api/history/${encodeURIComponent(symbol)}?${query}`, { signal: within });
      if (response.ok) return checked(await response.json());
      if (response.status < 500 && response.status !== 429) return null;
    } catch {
      // Like a gateway's server error, this is worth another try.
    }
    if (signal.aborted) break;
    onFailure();
    await pause(retryMs, signal);
  }
  return null;
}

/** Return a history, or throw if it is malformed. */
function checked(history: History): History {
  const { times, prices, sources } = history;
  if (!Array.isArray(times) || !Array.isArray(prices) || typeof sources !== "object" || !sources) throw new Error();
  return history;
}

/** Wait for this many milliseconds, or until the signal aborts. */
function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
