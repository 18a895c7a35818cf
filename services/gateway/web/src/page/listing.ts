/** What the gateway has: which symbols are featured, and which can be asked for. One request, shared by the page. */
import { useEffect } from "react";
import type { components } from "../api.ts";
import { createValue, useValue } from "./value.ts";

export type Listing = components["schemas"]["SymbolListing"];

const RETRY_MS = 5000;
const RENEW_MS = 600_000;

const listing = createValue<Listing | null>(null);
let readers = 0;
let timer: ReturnType<typeof setTimeout>;

async function renew() {
  clearTimeout(timer);
  let again = RETRY_MS;
  try {
    const response = await fetch("/api/symbols");
    if (response.ok) {
      listing.set(await response.json());
      again = RENEW_MS;
    }
  } catch {
    // The stream says that the gateway is away; here it is enough to ask again.
  }
  if (readers) timer = setTimeout(renew, again);
}

/** Return what the gateway lists, or null until it has answered. */
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
