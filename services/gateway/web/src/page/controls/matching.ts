/** Finding a symbol by a few letters. Pure. */
import type { components } from "../../api.ts";
import { symbolName } from "../names.ts";

export type Listed = components["schemas"]["ListedSymbol"];

const SHOWN = 8;

/** Return the listed symbols that a text may mean, the likeliest first, at most eight. Without a text: none. */
export function matching(listed: readonly Listed[], text: string): readonly Listed[] {
  const wanted = text.trim().toUpperCase();
  if (!squeezed(wanted)) return [];
  return listed
    .map((one) => ({ one, rank: rankOf(one, wanted) }))
    .filter(({ rank }) => rank < NO_MATCH)
    .sort(
      (a, b) => a.rank - b.rank || b.one.exchanges.length - a.one.exchanges.length || a.one.symbol.length - b.one.symbol.length,
    )
    .slice(0, SHOWN)
    .map(({ one }) => one);
}

const NO_MATCH = 9;

/** How far a symbol is from a text: the coin itself first, in USDT before others, then its beginnings, then anything. */
function rankOf({ symbol }: Listed, wanted: string): number {
  const { base, quote, coin } = symbolName(symbol);
  const name = (coin ?? "").toUpperCase();
  const late = quote === "USDT" ? 0 : 1;
  if (squeezed(symbol) === squeezed(wanted)) return 0;
  if (base === wanted || name === wanted) return 1 + late;
  if (symbol.startsWith(wanted) || name.startsWith(wanted)) return 3 + late;
  if (squeezed(symbol).includes(squeezed(wanted)) || name.includes(wanted)) return 5 + late;
  return NO_MATCH;
}

/** Return a text's letters and digits: `BTC/USDT`, `BTC_USDT` and `BTC-USDT` are one. */
function squeezed(text: string): string {
  return text.replace(/[^\p{L}\p{N}]+/gu, "");
}
