/** Which symbols have a card: kept in the address, so that it can be shared, and remembered for the next visit. */
import { formatSymbols, parseSymbols, searchWith, symbolsInSearch } from "./symbolSet.ts";
import { createValue, recall, remember } from "./value.ts";

/** The symbols that the visitor chose, or null for the featured ones. The address wins over the last visit. */
export const chosenSymbols = createValue(symbolsInSearch(location.search) ?? nonEmpty(parseSymbols(recall("symbols") ?? "")));

showInAddress();
chosenSymbols.subscribe(() => {
  const symbols = chosenSymbols.get();
  remember("symbols", symbols && formatSymbols(symbols)); // a link that is only opened changes nothing here
  showInAddress();
});

function showInAddress() {
  const search = searchWith(location.search, chosenSymbols.get());
  try {
    if (search !== location.search) history.replaceState(history.state, "", location.pathname + search + location.hash);
  } catch {
    // Some browsers forbid it, or more than so many in a while: the choice holds all the same.
  }
}

function nonEmpty(symbols: readonly string[]): readonly string[] | null {
  return symbols.length ? symbols : null;
}
