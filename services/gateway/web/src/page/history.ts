/** What was, from the gateway. */
import type { components } from "../api.ts";

export type History = components["schemas"]["History"];
export type Resolution = History["resolution"];

/**
 * Fetch a symbol's history: ten minutes of seconds or a day of minutes, thinned to at most `maxPoints` if given.
 * Null where there is none to be had: a line that begins now is better than an error about the past.
 */
export async function fetchHistory(
  symbol: string,
  resolution: Resolution,
  signal: AbortSignal,
  maxPoints?: number,
): Promise<History | null> {
  try {
    const query = new URLSearchParams({ resolution, ...(maxPoints && { max_points: String(maxPoints) }) });
    const response = await fetch(`/api/history/${encodeURIComponent(symbol)}?${query}`, { signal });
    return response.ok ? await response.json() : null;
  } catch {
    return null;
  }
}
