/** Which symbols the gateway features, and which the exchanges list. All components share one periodic request. */
import { useEffect } from "react";
import type { components } from "../api.ts";
import { shortSymbol } from "./names.ts";
import { createValue, useValue } from "./value.ts";

export type Listing = components["schemas"]["SymbolListing"];

const ANSWER_WITHIN_MS = 10_000;
const RETRY_MS = 5000;
const RENEW_MS = 60_000;

const listing = createValue<Listing | null>(null);
/** Since when requests have failed (`Date.now()`); null if the last one succeeded. */
const failingSince = createValue<number | null>(null);
let readers = 0; // how many mounted components use the listing
let timer: ReturnType<typeof setTimeout>;

async function renew() {
  clearTimeout(timer);
  let again = RETRY_MS;
  try {
    const response = await fetch("/api/symbols", { signal: AbortSignal.timeout(ANSWER_WITHIN_MS) });
    if (!response.ok) throw new Error();
    const known = listing.get();
    const { featured, quote, symbols }: Listing = await response.json();
    if (!Array.isArray(featured) || typeof quote !== "string" || !Array.isArray(symbols)) throw new Error();
    // A gateway that has just started lists no symbols until the exchanges have sent it their listings.
    listing.set({ featured, quote, symbols: symbols.length ? symbols : (known?.symbols ?? []) });
    failingSince.set(null);
    if (symbols.length) again = RENEW_MS;
  } catch {
    failingSince.set(failingSince.get() ?? Date.now()); // the known listing is kept
  }
  if (readers) timer = setTimeout(renew, again);
}

/** Return the gateway's last listing, or null until it has answered. Empty `symbols` mean that it does not know them yet. */
export function useListing(): Listing | null {
  useEffect(() => {
    readers += 1;
    if (readers === 1) void renew();
    return () => {
      readers -= 1;
      if (!readers) clearTimeout(timer);
    };
  }, []);
  return useValue(listing);
}

/** Return the featured symbols, without the quote that a symbol without one has anyway. */
export function featuredNames(known: Listing | null): readonly string[] {
  return known?.featured.map((symbol) => shortSymbol(symbol, known.quote)) ?? [];
}

/** Return since when the listing could not be loaded (`Date.now()`), or null if the last request succeeded. */
export function useListingFailure(): number | null {
  return useValue(failingSince);
}
