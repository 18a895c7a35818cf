/** How far a symbol's price can be trusted: the one place that decides. The page and the element have their own words for it. */
import type { SymbolState, TickerMessage } from "./types.ts";

/**
 * - `live`: renewed within seconds, by two exchanges or more
 * - `degraded`: renewed, but by one exchange only, or they disagree, or have all been silent for a while
 * - `stale`: a price that nothing confirms any more, or that may have changed while the stream is away
 * - `offline`: no price, and none to be had
 * - `waiting`: the first one has not come yet
 */
export type Trust = "live" | "degraded" | "stale" | "offline" | "waiting";

export function trustOf({ status, latest, ticker, error }: SymbolState): Trust {
  if (error?.code === "unknown_symbol" || error?.code === "too_many_symbols") return "offline";
  if (status === "live") return latest?.quality === "ok" && !isAgeing(latest) ? "live" : "degraded";
  if (error && REFUSALS.has(error.code)) return ticker ? "stale" : "waiting";
  if (ticker && status !== "idle") return status === "offline" ? "offline" : "stale";
  return status === "stale" || status === "offline" || status === "reconnecting" ? "offline" : "waiting";
}

/** Errors of a gateway that answers: it does not stream a symbol, or anything, for now. */
const REFUSALS: ReadonlySet<string> = new Set(["no_room", "busy", "rate_limited"]);

/** Whether all exchanges have been silent for so long that they count for less already, or not at all. */
export function isAgeing({ sources }: TickerMessage): boolean {
  return !sources.some((source) => source.state === "used");
}

/** Whether a symbol counts as connected: a fresh price that no exchange contradicts. */
export function countsAsConnected({ isConnected, latest }: SymbolState): boolean {
  return isConnected && (latest?.quality === "ok" || latest?.quality === "single") && !isAgeing(latest);
}
