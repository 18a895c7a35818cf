/** Symbols that a visitor may have meant instead of one that does not exist. */
import { normalizeSymbol } from "./client.ts";
import type { RealtimeError } from "./types.ts";

/**
 * Return the symbols that a visitor may have meant by a text: the gateway's suggestions if there are any. A text that is not a
 * symbol is never sent to the gateway. If it spells one in another way, return that: `BTC/USDT` gives BTC-USDT.
 */
export function suggestionsFor(text: string, error: RealtimeError | null): readonly string[] {
  const told: unknown = error?.suggestions;
  if (Array.isArray(told)) return told.filter((one) => typeof one === "string");
  if (error?.code !== "unknown_symbol" || normalizeSymbol(text)) return [];
  const names = text.split(/[^\p{L}\p{N}]+/u).filter(Boolean);
  const symbol = names.length < 3 ? normalizeSymbol(names.join("-")) : null;
  return symbol ? [symbol] : [];
}
