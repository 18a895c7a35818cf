/**
 * The visitor's choice of symbols that have a card, and of the quote for symbols that are named without one. Both are kept in the
 * page's URL, which can be shared, and remembered for the next visit.
 */
import { parseSymbols, quoteInSearch, searchWith, symbolsInSearch } from "./symbolSet.ts";
import { createValue, recall, remember } from "./value.ts";

/** The symbols that the visitor chose, or null for the featured ones. The URL takes precedence over the last visit's choice. */
export const chosenSymbols = createValue(symbolsInSearch(location.search) ?? nonEmpty(parseSymbols(recall("symbols") ?? "")));

/** The quote that the visitor chose, or null for the gateway's. The URL takes precedence over the last visit's choice. */
export const chosenQuote = createValue(quoteInSearch(location.search) ?? quoteInSearch(`?quote=${recall("quote") ?? ""}`));

showInAddress();
// Only a change by the visitor is remembered, not a link that was opened.
chosenSymbols.subscribe(() => {
  remember("symbols", chosenSymbols.get()?.join() ?? null);
  showInAddress();
});
chosenQuote.subscribe(() => {
  remember("quote", chosenQuote.get());
  showInAddress();
});

function showInAddress() {
  const search = searchWith(location.search, chosenSymbols.get(), chosenQuote.get());
  try {
    if (search !== location.search) history.replaceState(history.state, "", location.pathname + search + location.hash);
  } catch {
    // Some browsers forbid replaceState, or limit how often it is called. The choice holds all the same.
  }
}

function nonEmpty(symbols: readonly string[]): readonly string[] | null {
  return symbols.length ? symbols : null;
}
