/** Splits a price into the exchanges' contributions, and finds the rates that it depends on. Pure. */
import type { TickerSource } from "../../types.ts";

export interface Sum {
  /** Each source's part of the price, in the sources' order; null for a source that is not used. */
  readonly parts: readonly (number | null)[];
  /** The sum of the parts. Written with `decimals` decimals, the parts add up to it exactly. */
  readonly total: number;
  /** How many decimals the parts and the total are rounded to. */
  readonly decimals: number;
}

export type Rate = NonNullable<TickerSource["via"]>;

/** Return the rates by which sources are converted, each once. */
export function ratesOf(sources: readonly TickerSource[]): readonly Rate[] {
  const rates = new Map(sources.flatMap(({ via }) => (via ? [[via.symbol, via]] : [])));
  return [...rates.values()];
}

const MOST_DIGITS = 15; // a double holds this many decimal digits exactly

/**
 * Split a price into its sources' contributions: weight times used price, rounded to `dp` + 2 decimals. The rounded
 * contributions add up to the rounded price exactly, because the remainder goes to those that rounding cut the most.
 * Return null if the price is not computed from these sources: no source is used, or the price is an old one that is held.
 */
export function contributions(sources: readonly TickerSource[], price: number, dp: number): Sum | null {
  const wholeDigits = Math.max(1, Math.ceil(Math.log10(Math.abs(price) + 1)));
  const decimals = Math.max(0, Math.min(dp + 2, MOST_DIGITS - wholeDigits));
  const unit = 10 ** decimals;
  const exact = sources.map(({ weight, usedPrice }) => (usedPrice === null ? null : weight * usedPrice * unit));
  const total = Math.round(price * unit);
  const cut = exact.map((part) => (part === null ? null : Math.floor(part)));
  const left = total - cut.reduce<number>((sum, part) => sum + (part ?? 0), 0);
  const used = exact.flatMap((part, index) => (part === null ? [] : [{ index, lost: part - Math.floor(part) }]));
  if (!used.length || left < 0 || left > used.length) return null;
  used.sort((a, b) => b.lost - a.lost);
  for (const { index } of used.slice(0, left)) cut[index] = (cut[index] ?? 0) + 1;
  return { parts: cut.map((part) => (part === null ? null : part / unit)), total: total / unit, decimals };
}
