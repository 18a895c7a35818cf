/** What a price is the sum of. Pure. */
import type { TickerSource } from "../../types.ts";

export interface Sum {
  /** Each source's part of the price, in the sources' order; null for one that has no part. */
  readonly parts: readonly (number | null)[];
  /** What they add up to: exactly, digit by digit, as they are written with `decimals`. */
  readonly total: number;
  readonly decimals: number;
}

const MOST_DIGITS = 15; // as many as a number holds exactly

/**
 * Split a price into its sources' contributions, weight times used price, each rounded to `dp` + 2 decimals such that they
 * add up to the price as written, not only nearly: what rounding leaves over goes to those that were cut the most.
 * Null if the price is not made of these sources: none is used, or it is an old price that is held.
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
