/** Symbols that a visitor may have meant by one that cannot be had. */
import { normalizeSymbol } from "./client.ts";
import type { RealtimeError } from "./types.ts";

/**
 * Return the symbols that a text may have meant: the gateway's suggestions if it gave any. It is never asked for a text that is
 * no symbol; of that, return the symbol that it spells: `BTC/USDT` is BTC-USDT.
 */
export function suggestionsFor(text: string, error: RealtimeError | null): readonly string[] {
  const told: unknown = error?.suggestions;
  if (Array.isArray(told)) return told.filter((one) => typeof one === "string");
  if (error?.code !== "unknown_symbol" || normalizeSymbol(text)) return [];
  const names = text.split(/[^\p{L}\p{N}]+/u).filter(Boolean);
  const symbol = names.length < 3 ? normalizeSymbol(names.join("-")) : null;
  return symbol ? [symbol] : [];
}
