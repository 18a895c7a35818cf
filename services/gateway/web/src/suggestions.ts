/** What a symbol that is not to be had may have meant. */
import { normalizeSymbol } from "./client.ts";
import type { RealtimeError } from "./types.ts";

/**
 * Return what may have been meant: what the gateway suggests, or for a text that is no symbol, and that it was never asked for,
 * the symbol that it spells: `BTC/USDT` is BTC-USDT.
 */
export function suggestionsFor(text: string, error: RealtimeError | null): readonly string[] {
  const told: unknown = error?.suggestions;
  if (Array.isArray(told)) return told.filter((one) => typeof one === "string");
  if (error?.code !== "unknown_symbol" || normalizeSymbol(text)) return [];
  const names = text.split(/[^\p{L}\p{N}]+/u).filter(Boolean);
  const symbol = names.length < 3 ? normalizeSymbol(names.join("-")) : null;
  return symbol ? [symbol] : [];
}
