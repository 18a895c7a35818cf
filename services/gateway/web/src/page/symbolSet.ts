/** Reads and writes sets of symbols as text and in a URL's query. All functions are pure. */
import { normalizeSymbol } from "../client.ts";
import { shortSymbol } from "./names.ts";

const MOST = 50; // more charts would be too many for one page
const LONGEST = 65; // the longest symbol: 32 characters, a hyphen, 32 characters

/** Parse a comma-separated list of symbols, without repetitions. Text that is not a symbol is kept, and its card says so. */
export function parseSymbols(text: string): readonly string[] {
  const names = text.split(",").map((name) => normalizeSymbol(name) ?? name.trim().slice(0, LONGEST));
  return [...new Set(names)].filter(Boolean).slice(0, MOST);
}

export function formatSymbols(symbols: readonly string[]): string {
  return symbols.map(shortSymbol).join();
}

/** Return the symbols that a query (`?symbols=BTC,ETH`) names, or null if it names none. */
export function symbolsInSearch(search: string): readonly string[] | null {
  const symbols = parseSymbols(new URLSearchParams(search).get("symbols") ?? "");
  return symbols.length ? symbols : null;
}

/** Return a query with its `symbols` set, or removed for null. Other parameters stay. It starts with `?` unless it is empty. */
export function searchWith(search: string, symbols: readonly string[] | null): string {
  const query = new URLSearchParams(search);
  query.delete("symbols");
  const rest = query.toString();
  const wanted = symbols && `symbols=${symbols.map((symbol) => encodeURIComponent(shortSymbol(symbol))).join()}`;
  const all = [wanted, rest].filter(Boolean).join("&");
  return all && `?${all}`;
}
