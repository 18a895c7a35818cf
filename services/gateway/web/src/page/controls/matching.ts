/** Finds symbols by a few letters. Pure. */
import type { components } from "../../api.ts";
import { normalizeSymbol } from "../../client.ts";
import { symbolName } from "../names.ts";
import { QUOTES } from "../quotes.ts";

export type Listed = components["schemas"]["ListedSymbol"];

const SHOWN = 8;

/**
 * Return the listed symbols that a text may mean, at most eight, the likeliest first. An empty text matches no symbol. Of equally
 * likely ones, those in the quote `first` come first.
 */
export function matching(listed: readonly Listed[], text: string, first: string | null): Listed[] {
  const wanted = text.trim().toUpperCase();
  if (!squeezed(wanted)) return [];
  return listed
    .map((one) => ({ one, rank: rankOf(one, wanted, first) }))
    .filter(({ rank }) => rank < NO_MATCH)
    .sort(
      (a, b) => a.rank - b.rank || b.one.exchanges.length - a.one.exchanges.length || a.one.symbol.length - b.one.symbol.length,
    )
    .slice(0, SHOWN)
    .map(({ one }) => one);
}

/**
 * Return the symbol that a text spells, if no exchange lists it, but some exchange lists its base in another quote: the gateway
 * may convert that one's price. Only the quotes that the page offers are tried.
 */
export function convertible(listed: readonly Listed[], text: string): readonly Listed[] {
  const symbol = normalizeSymbol(text) ?? "";
  const { base, quote } = symbolName(symbol);
  const isListed = listed.some((one) => one.symbol === symbol);
  if (!QUOTES.includes(quote) || isListed || !listed.some((one) => one.symbol.startsWith(`${base}-`))) return [];
  return [{ symbol, exchanges: [] }];
}

const NO_MATCH = 9;

/**
 * Return how well a symbol matches a text; lower is better, and NO_MATCH is no match. First comes the whole symbol, then the
 * whole coin, then a beginning, then any part. Within each of the last three, the quote `first` comes before others.
 */
function rankOf({ symbol }: Listed, wanted: string, first: string | null): number {
  const { base, quote, coin } = symbolName(symbol);
  const name = (coin ?? "").toUpperCase();
  const late = quote === first ? 0 : 1;
  if (squeezed(symbol) === squeezed(wanted)) return 0;
  if (base === wanted || name === wanted) return 1 + late;
  if (symbol.startsWith(wanted) || name.startsWith(wanted)) return 3 + late;
  if (squeezed(symbol).includes(squeezed(wanted)) || name.includes(wanted)) return 5 + late;
  return NO_MATCH;
}

/** Return only a text's letters and digits, so that `BTC/USDT`, `BTC_USDT` and `BTC-USDT` are equal. */
function squeezed(text: string): string {
  return text.replace(/[^\p{L}\p{N}]+/gu, "");
}
