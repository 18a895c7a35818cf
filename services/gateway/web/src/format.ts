/**
 * Formats prices, percentages, volumes and ages as text. All functions are pure and accept any number: null, NaN and
 * infinities give "–". No text has exponent notation. `locale` is a BCP 47 tag, by default the browser's own. It decides
 * which separators are used; digits are always 0 to 9, so that they can be counted and compared.
 */

/** A piece of a price. If `sub` is true, it is to be drawn as a `<sub>`. */
export interface Part {
  readonly text: string;
  readonly sub: boolean;
}

/** A price as text, in the three forms that a view needs. */
export interface PriceText {
  /** The pieces to draw: `0.0`, `5` as a `<sub>`, `1230`. Most prices are one piece. */
  readonly parts: readonly Part[];
  /** The parts in one line of text, `0.0₅1230`, with one character for each character of the parts. */
  readonly plain: string;
  /** The price with every zero written out, `0.000001230`, for labels, titles and the clipboard. */
  readonly full: string;
}

export type Direction = "up" | "down" | "flat";

const NONE = "–";
const NO_PRICE: PriceText = { parts: [{ text: NONE, sub: false }], plain: NONE, full: NONE };
const MOST_DECIMALS = 100;
const MOST_LOCAL_DECIMALS = 20; // as many as every browser's Intl writes
const SUBSCRIPTS = "₀₁₂₃₄₅₆₇₈₉";

const STYLES = {
  decimals2: { minimumFractionDigits: 2, maximumFractionDigits: 2 },
  decimals3: { minimumFractionDigits: 3, maximumFractionDigits: 3 },
  decimals4: { minimumFractionDigits: 4, maximumFractionDigits: 4 },
  significant4: { minimumSignificantDigits: 4, maximumSignificantDigits: 4 },
  percent: { style: "unit", unit: "percent", minimumFractionDigits: 2, maximumFractionDigits: 2, signDisplay: "exceptZero" },
  volume: { notation: "compact", minimumSignificantDigits: 3, maximumSignificantDigits: 3 },
} as const satisfies Record<string, Intl.NumberFormatOptions>;

type Style = keyof typeof STYLES;

/** The formatters made so far: making one takes far longer than using it, and each tick formats prices. */
const formatters = new Map<string, Intl.NumberFormat>();

function format(value: number, style: Style, locale: string | undefined): string {
  const key = `${style} ${locale}`;
  let formatter = formatters.get(key);
  if (!formatter) {
    formatter = new Intl.NumberFormat(locale, { ...STYLES[style], numberingSystem: "latn" });
    formatters.set(key, formatter);
  }
  return formatter.format(value + 0); // -0 + 0 is 0
}

/** Return the style for a price. Each band begins at the first price that rounds up into it: 9.99995 is 10.000, not 10.0000. */
function priceStyle(price: number, dp: number): Style {
  const size = Math.abs(price);
  if (size > 0 && size < 0.99995) return "significant4";
  if (size >= 99.9995 || size === 0 || dp <= 2) return "decimals2";
  return size >= 9.99995 || dp === 3 ? "decimals3" : "decimals4";
}

/**
 * Format a price. Prices below 1 have 4 significant digits. Prices from 1 on have 4 decimals below 10, 3 below 100 and 2
 * above, but at most `dp` decimals (what the exchanges' tick sizes make worth showing) or 2, whichever is more. If 4 or more
 * zeros follow the point, their number is written instead: 0.00000123 is 0.0₅1230.
 */
export function formatPrice(price: number | null, dp: number, locale?: string): PriceText {
  if (price === null || !Number.isFinite(price)) return NO_PRICE;
  return countZeros(format(price, priceStyle(price, dp), locale));
}

/**
 * Format the prices of an axis such that no two different ones get the same text. All have as many decimals as the smallest
 * step between them needs, and at least as many as `formatPrice` gives the largest of them.
 */
export function formatAxis(prices: readonly number[], dp: number, locale?: string): readonly string[] {
  const sorted = [...prices].sort((a, b) => a - b);
  const step = Math.min(
    ...sorted
      .slice(1)
      .map((price, index) => price - (sorted[index] ?? price))
      .filter((gap) => gap > 0),
  );
  const largest = Math.max(...prices.map(Math.abs));
  const decimals = Math.max(decimalsOf(step), usualDecimals(largest, dp));
  return prices.map((price) => {
    if (!Number.isFinite(price)) return NONE;
    const value = Math.abs(price) < step / 2 ? 0 : price;
    const full =
      decimals > MOST_LOCAL_DECIMALS
        ? value.toFixed(decimals)
        : value.toLocaleString(locale, {
            minimumFractionDigits: decimals,
            maximumFractionDigits: decimals,
            numberingSystem: "latn",
          });
    return value === 0 ? full : countZeros(full).plain;
  });
}

/** Return how many decimals a step needs to be written exactly; 0 if the step is not a finite number above zero. */
function decimalsOf(step: number): number {
  for (let decimals = 0; decimals < MOST_DECIMALS; decimals++) {
    const scaled = step * 10 ** decimals;
    if (scaled > 0.999 && Math.abs(scaled - Math.round(scaled)) < 1e-3 * Math.min(1, scaled)) return decimals;
  }
  return 0;
}

/** Return how many decimals `formatPrice` gives a price of this size. */
function usualDecimals(price: number, dp: number): number {
  if (!(price > 0) || !Number.isFinite(price)) return 2;
  switch (priceStyle(price, dp)) {
    case "significant4":
      return Math.min(MOST_DECIMALS, 3 - Math.floor(Math.log10(price)));
    case "decimals4":
      return 4;
    case "decimals3":
      return 3;
    default:
      return 2;
  }
}

/** Replace the zeros after the point of a formatted price by their number if there are 4 or more. */
function countZeros(full: string): PriceText {
  const [, lead, zeros, digits] = /^(\D*0\D)(0{4,})(\d+)$/.exec(full) ?? [];
  if (!lead || !zeros || !digits) return { parts: [{ text: full, sub: false }], plain: full, full };
  const count = String(zeros.length);
  const parts = [
    { text: `${lead}0`, sub: false },
    { text: count, sub: true },
    { text: digits, sub: false },
  ];
  return { parts, plain: `${lead}0${count.replace(/\d/g, (digit) => SUBSCRIPTS.charAt(+digit))}${digits}`, full };
}

/** Format a percentage with its sign and 2 decimals: 1.234 is +1.23%. A percentage that rounds to zero has no sign. */
export function formatPercent(percent: number | null, locale?: string): string {
  if (percent === null || !Number.isFinite(percent)) return NONE;
  return format(percent, "percent", locale).replace("-", "−");
}

/** Return the direction of a percentage as its text shows it: flat if it is formatted as 0.00%, or if it is not known. */
export function direction(percent: number | null): Direction {
  if (percent === null || !Number.isFinite(percent) || Math.abs(percent) < 0.005) return "flat";
  return percent > 0 ? "up" : "down";
}

/** Format a volume or turnover in compact form with 3 significant digits: 1.23B, 45.6M. */
export function formatVolume(volume: number | null, locale?: string): string {
  return volume === null || !Number.isFinite(volume) ? NONE : format(volume, "volume", locale);
}

/**
 * Format an age in milliseconds in its largest whole unit: now, 14 s, 2 min, 1 h, 3 d. A negative age, which clocks that
 * disagree can produce, is formatted as now.
 */
export function formatAge(ageMs: number | null): string {
  if (ageMs === null || !Number.isFinite(ageMs)) return NONE;
  const seconds = Math.floor(ageMs / 1000);
  if (seconds < 1) return "now";
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86400).toLocaleString("en", { useGrouping: false })} d`;
}

/** Format how long ago something happened (just now, 14 s ago), or how old it is (just now, 14 s old). */
export function formatAgo(ageMs: number | null, word: "ago" | "old" = "ago"): string {
  const age = formatAge(ageMs);
  if (age === "now") return "just now";
  return age === NONE ? NONE : `${age} ${word}`;
}

/** Return the index of the first character of `after` that differs from `before`, or `after.length` if none differs. */
export function firstDifference(before: string, after: string): number {
  let index = 0;
  while (index < after.length && before[index] === after[index]) index++;
  return index;
}

/** Split a price's parts at an index into its `plain` text: the digits that stayed and the digits that changed. */
export function splitParts(parts: readonly Part[], index: number): readonly [readonly Part[], readonly Part[]] {
  const before: Part[] = [];
  const after: Part[] = [];
  let start = 0;
  for (const { text, sub } of parts) {
    const cut = Math.max(0, index - start);
    if (cut > 0) before.push({ text: text.slice(0, cut), sub });
    if (cut < text.length) after.push({ text: text.slice(cut), sub });
    start += text.length;
  }
  return [before, after];
}
