/** Sets of symbols as text, and in an address. Pure. */
import { normalizeSymbol } from "../client.ts";
import { shortSymbol } from "./names.ts";

const MOST = 50; // a page of charts, not of everything
const LONGEST = 65; // as long as a symbol may be

/** Read a list of symbols, each once, in its order. What is no symbol is kept as it is: its card says so. */
export function parseSymbols(text: string): readonly string[] {
  const names = text.split(",").map((name) => normalizeSymbol(name) ?? name.trim().slice(0, LONGEST));
  return [...new Set(names)].filter(Boolean).slice(0, MOST);
}

export function formatSymbols(symbols: readonly string[]): string {
  return symbols.map(shortSymbol).join();
}

/** Return the symbols that an address asks for, or null if it asks for none. */
export function symbolsInSearch(search: string): readonly string[] | null {
  const symbols = parseSymbols(new URLSearchParams(search).get("symbols") ?? "");
  return symbols.length ? symbols : null;
}

/** Return a query (with its `?`, or empty) that asks for these symbols, or for no particular ones; the rest of it stays. */
export function searchWith(search: string, symbols: readonly string[] | null): string {
  const query = new URLSearchParams(search);
  query.delete("symbols");
  const rest = query.toString();
  const wanted = symbols && `symbols=${symbols.map((symbol) => encodeURIComponent(shortSymbol(symbol))).join()}`;
  const all = [wanted, rest].filter(Boolean).join("&");
  return all && `?${all}`;
}
