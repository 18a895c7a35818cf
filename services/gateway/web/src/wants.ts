/** Joins wishes into one for a stream, and writes them as a query. Pure. */
import type { Wants } from "./types.ts";

export const NOTHING: Wants = { symbols: [], kinds: [], fields: [], maxHz: 0 };

/**
 * Return what is enough for all of these: each symbol, kind and field of any of them, and the highest rate. The symbols are in the
 * order given, kinds and fields sorted.
 */
export function joined(all: readonly Wants[]): Wants {
  return {
    symbols: [...new Set(all.flatMap(({ symbols }) => symbols))],
    kinds: [...new Set(all.flatMap(({ kinds }) => kinds))].sort(),
    fields: [...new Set(all.flatMap(({ fields }) => fields))].sort(),
    maxHz: Math.max(0, ...all.map(({ maxHz }) => maxHz)),
  };
}

const asList = (name: string, list: readonly string[]) => (list[0] ? `&${name}=${encodeURIComponent(list.join())}` : "");

/** Return wishes as the query of a request for tickers. */
export const asQuery = ({ symbols, fields }: Wants) => `${asList("symbols", symbols)}${asList("fields", fields)}`.slice(1);

// Without `kinds` the gateway sends tickers.
const asKinds = ({ kinds, fields }: Wants) => asList("kinds", kinds[0] && fields[0] ? ["ticker", ...kinds] : kinds);

/** Return wishes as the query of a stream, or "" if no symbol is wanted. */
export const asStream = (wants: Wants) =>
  wants.symbols.length ? `${asQuery(wants)}${asKinds(wants)}&max_hz=${wants.maxHz}` : "";
