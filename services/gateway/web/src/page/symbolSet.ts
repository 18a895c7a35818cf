/** Reads and writes sets of symbols as text and in a URL's query. All functions are pure. */
import { normalizeSymbol } from "../client.ts";

const MOST = 50; // more charts would be too many for one page
const LONGEST = 65; // the longest symbol: 32 characters, a hyphen, 32 characters

/** Parse a comma-separated list of symbols, without repetitions. Text that is not a symbol is kept, and its card says so. */
export function parseSymbols(text: string): readonly string[] {
  const names = text.split(",").map((name) => normalizeSymbol(name) ?? name.trim().slice(0, LONGEST));
  return [...new Set(names)].filter(Boolean).slice(0, MOST);
}

/** Return the symbols that a query (`?symbols=BTC,ETH`) names, or null if it names none. */
export function symbolsInSearch(search: string): readonly string[] | null {
  const symbols = parseSymbols(new URLSearchParams(search).get("symbols") ?? "");
  return symbols.length ? symbols : null;
}

/** Return the quote that a query (`?quote=USD`) names, or null if it names none. */
export function quoteInSearch(search: string): string | null {
  const quote = normalizeSymbol(new URLSearchParams(search).get("quote") ?? "");
  return quote?.includes("-") ? null : quote;
}

/**
 * Return a query with its `symbols` and its `quote` set, or removed for null. Other parameters stay. It starts with `?` unless it
 * is empty.
 */
export function searchWith(search: string, symbols: readonly string[] | null, quote: string | null): string {
  const query = new URLSearchParams(search);
  query.delete("symbols");
  query.delete("quote");
  const rest = query.toString();
  const all = [
    symbols && `symbols=${symbols.map(encodeURIComponent).join()}`,
    quote && `quote=${encodeURIComponent(quote)}`,
    rest,
  ]
    .filter(Boolean)
    .join("&");
  return all && `?${all}`;
}
