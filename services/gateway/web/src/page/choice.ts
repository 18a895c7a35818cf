/** The symbols that have a card. They are kept in the page's URL, which can be shared, and remembered for the next visit. */
import { formatSymbols, parseSymbols, searchWith, symbolsInSearch } from "./symbolSet.ts";
import { createValue, recall, remember } from "./value.ts";

/** The symbols that the visitor chose, or null for the featured ones. The URL takes precedence over the last visit's choice. */
export const chosenSymbols = createValue(symbolsInSearch(location.search) ?? nonEmpty(parseSymbols(recall("symbols") ?? "")));

showInAddress();
chosenSymbols.subscribe(() => {
  const symbols = chosenSymbols.get();
  remember("symbols", symbols && formatSymbols(symbols)); // only a change by the visitor, not a link that was opened
  showInAddress();
});

function showInAddress() {
  const search = searchWith(location.search, chosenSymbols.get());
  try {
    if (search !== location.search) history.replaceState(history.state, "", location.pathname + search + location.hash);
  } catch {
    // Some browsers forbid replaceState, or limit how often it is called. The choice holds all the same.
  }
}

function nonEmpty(symbols: readonly string[]): readonly string[] | null {
  return symbols.length ? symbols : null;
}
