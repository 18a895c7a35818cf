/** Decides how far a symbol's price can be trusted, for the page and for the element. Each has its own words for it. */
import type { SymbolState, TickerMessage } from "./types.ts";

/**
 * - `live`: the price was renewed within seconds, and two exchanges or more agree on it
 * - `degraded`: the price was renewed, but from one exchange only, or the exchanges disagree, or all have been silent for a while
 * - `stale`: no exchange confirms the price any more, or it may have changed while the stream is interrupted
 * - `offline`: there is no price, and none can be expected; or the gateway cannot be reached
 * - `waiting`: the first price has not arrived yet
 */
export type Trust = "live" | "degraded" | "stale" | "offline" | "waiting";

export function trustOf({ status, latest, ticker, error }: SymbolState<never>): Trust {
  if (error?.code === "unknown_symbol" || error?.code === "too_many_symbols") return "offline";
  if (status === "live") return latest?.quality === "ok" && !isAgeing(latest) ? "live" : "degraded";
  if (error && REFUSALS.has(error.code)) return ticker ? "stale" : "waiting";
  if (ticker && status !== "idle") return status === "offline" ? "offline" : "stale";
  return status === "stale" || status === "offline" || status === "reconnecting" ? "offline" : "waiting";
}

/** Errors of a gateway that answers, but does not stream this symbol, or anything, for now. */
const REFUSALS: ReadonlySet<string> = new Set(["no_room", "busy", "rate_limited"]);

/** From this age on an exchange counts less: T_soft in docs/methodology.md, by default. */
const SOFT_AGE_MS = 10_000;

/** Whether all exchanges have been silent for so long that each counts less already, or not at all. */
export function isAgeing({ aggregatedTime, receivedTime }: TickerMessage<never>): boolean {
  return receivedTime === null || aggregatedTime - receivedTime > SOFT_AGE_MS;
}

/** Whether a symbol counts as connected: its price is fresh, and no exchange contradicts it. */
export function countsAsConnected({ isConnected, latest }: SymbolState<never>): boolean {
  return isConnected && (latest?.quality === "ok" || latest?.quality === "single") && !isAgeing(latest);
}
