/** How long ago a moment was, and how long to wait before another try. */

export const LONGEST_DELAY_MS = 30_000; // the longest backoff

/**
 * Return how long ago a moment was, in milliseconds. If the clock was set back, the moment lies in the future; it then counts
 * as just as long ago, so that nothing waits for the clock to catch up.
 */
export const since = (time: number): number => Math.abs(Date.now() - time);

/** Return the milliseconds to wait after this many failures in a row: exponential, capped, with full jitter. */
export function backoffMs(failures: number): number {
  return Math.random() * Math.min(LONGEST_DELAY_MS, 1000 * 2 ** (failures - 1));
}
