/** Joins wishes into one for a stream. */
import type { Wants } from "./types.ts";

export const NOTHING: Wants = { symbols: [], fields: [], maxHz: 0 };

/**
 * Return what is enough for all of these: each symbol and field of any of them, and the highest rate. The symbols are in the
 * order given, the fields sorted. Pure.
 */
export function joined(all: readonly Wants[]): Wants {
  return {
    symbols: [...new Set(all.flatMap(({ symbols }) => symbols))],
    fields: [...new Set(all.flatMap(({ fields }) => fields))].sort(),
    maxHz: Math.max(0, ...all.map(({ maxHz }) => maxHz)),
  };
}
