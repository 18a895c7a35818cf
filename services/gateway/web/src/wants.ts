/** Joins wishes into one for a stream. */
import type { Wants } from "./types.ts";

export const NOTHING: Wants = { symbols: [], kinds: [], fields: [], maxHz: 0 };

/**
 * Return what is enough for all of these: each symbol, kind and field of any of them, and the highest rate. The symbols are in the
 * order given, kinds and fields sorted. Pure.
 */
export function joined(all: readonly Wants[]): Wants {
  return {
    symbols: [...new Set(all.flatMap(({ symbols }) => symbols))],
    kinds: [...new Set(all.flatMap(({ kinds }) => kinds))].sort(),
    fields: [...new Set(all.flatMap(({ fields }) => fields))].sort(),
    maxHz: Math.max(0, ...all.map(({ maxHz }) => maxHz)),
  };
}
