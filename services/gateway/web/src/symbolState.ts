/** The state of a symbol in the client, and the part of it that a listener gets. Pure. */
import type { Field, SymbolState, Ticker, TickerMessage } from "./types.ts";

/** Within the client, a message may have any members: those that some listener asked for when it was requested. */
export type AnyState = SymbolState<Field>;

/** The state of a symbol without listeners. On a server, every symbol has this state. */
export const IDLE: AnyState = {
  ticker: null,
  latest: null,
  heardAt: null,
  status: "idle",
  isConnected: false,
  error: null,
};

/**
 * Return a symbol in the project's spelling (`btc-usd` becomes `BTC-USD`), or null if the text is not a symbol. A symbol without
 * a quote stays without one: the gateway decides what `BTC` means.
 */
export function normalizeSymbol(text: string): string | null {
  const symbol = text.trim().toUpperCase();
  return /^[\p{L}\p{N}]{1,32}(-[\p{L}\p{N}]{1,32})?$/u.test(symbol) ? symbol : null;
}

/**
 * Return how old a symbol's price is: the milliseconds since an exchange last confirmed it. Null while no exchange has.
 * The publisher measures the age up to its message, this browser the time since then, so their clocks need not agree.
 */
export function tickerAge({ latest, heardAt }: SymbolState<never>, now = Date.now()): number | null {
  if (latest?.receivedTime == null || heardAt === null) return null;
  return Math.max(0, latest.aggregatedTime - latest.receivedTime) + Math.max(0, now - heardAt);
}

/** Whether a message has a price that at least one exchange supports now. An unknown quality counts as unsupported. */
export function isBacked({ price, quality }: TickerMessage<never>): boolean {
  return price !== null && /^(ok|single|disputed)$/.test(quality);
}

/** Return a message as a ticker, or null if it has no price. Changes that the exchanges do not report become NaN. */
export function withPrice(message: TickerMessage<Field> | null): Ticker<Field> | null {
  if (message?.price == null) return null;
  const { price, change24h: change, changePercent24h: percent } = message;
  return Object.freeze({ ...message, price, change24h: change ?? Number.NaN, changePercent24h: percent ?? Number.NaN });
}

/** Return the state for a listener that asked for these fields. Without a message that has them all, there is no price yet. */
export function withFields(state: AnyState, fields: readonly string[]): AnyState {
  const { latest, status } = state;
  if (!latest || fields.every((field) => field in latest)) return state;
  const isUnknown = status === "live" || status === "stale";
  return Object.freeze({ ...IDLE, error: state.error, status: isUnknown ? "connecting" : status });
}
