/** Formatted prices, percentages, volumes and ages: tables of agreed texts, and loops over rules that hold for every number. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  direction,
  firstDifference,
  formatAge,
  formatAgo,
  formatAxis,
  formatPercent,
  formatPrice,
  formatVolume,
  type PriceText,
  splitParts,
} from "../src/format.ts";

const SUBSCRIPTS = "₀₁₂₃₄₅₆₇₈₉";
const NOT_A_PRICE = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, null];

/** Numbers spread evenly over the powers of ten, the same in every run. */
function* numbers(count: number, lowest: number, highest: number): Generator<number> {
  let state = 42;
  for (let i = 0; i < count; i++) {
    state = (state * 1664525 + 1013904223) % 2 ** 32;
    yield 10 ** (lowest + (state / 2 ** 32) * (highest - lowest));
  }
}

const joined = (price: PriceText) =>
  price.parts.map(({ text, sub }) => (sub ? text.replace(/\d/g, (digit) => SUBSCRIPTS.charAt(+digit)) : text)).join("");
const parsed = (text: string) => Number(text.replaceAll(",", ""));

describe("a price", () => {
  test.each([
    ["from 100 on: 2 decimals", 97000.1234, 8, "97,000.12"],
    ["under 100: 3 decimals", 12.34567, 8, "12.346"],
    ["under 10: 4 decimals", 1.234567, 8, "1.2346"],
    ["no more decimals than are worth showing", 1.234567, 3, "1.235"],
    ["but 2 at least", 3, 0, "3.00"],
    ["below 1: 4 significant digits", 0.5, 1, "0.5000"],
    ["carried into 1", 0.99995, 8, "1.0000"],
    ["not carried into 1", 0.99994, 8, "0.9999"],
    ["carried into 10", 9.99995, 8, "10.000"],
    ["not carried into 10", 9.99994, 8, "9.9999"],
    ["carried into 10 at fewer decimals", 9.9996, 3, "10.000"],
    ["carried into 100", 99.9995, 8, "100.00"],
    ["not carried into 100", 99.9994, 8, "99.999"],
    ["3 zeros are written", 0.000123, 8, "0.0001230"],
    ["4 zeros are counted", 0.0000123, 8, "0.0₄1230"],
    ["5 zeros", 0.00000123, 8, "0.0₅1230"],
    ["carried from 4 zeros to 3", 0.0000999999, 8, "0.0001000"],
    ["carried from 5 zeros to 4", 0.00000999999, 8, "0.0₄1000"],
    ["a count of two digits", 1e-18, 18, "0.0₁₇1000"],
    ["the smallest number there is", 5e-324, 8, "0.0₃₂₃5000"],
    ["very large", 1e15, 2, "1,000,000,000,000,000.00"],
    ["where others turn to exponents", 1e21, 2, "1,000,000,000,000,000,000,000.00"],
    ["zero", 0, 4, "0.00"],
    ["negative zero", -0, 4, "0.00"],
    ["negative, though no price is", -0.0000123, 8, "-0.0₄1230"],
    ["decimals that are not a number", 1.5, Number.NaN, "1.5000"],
  ])("%s", (_, price, dp, expected) => {
    expect(formatPrice(price, dp, "en-US").plain).toBe(expected);
  });

  test("has parts to draw, and a text with every zero written out", () => {
    expect(formatPrice(0.00000123, 8, "en-US")).toEqual({
      parts: [
        { text: "0.0", sub: false },
        { text: "5", sub: true },
        { text: "1230", sub: false },
      ],
      plain: "0.0₅1230",
      full: "0.000001230",
    });
  });

  test.each(NOT_A_PRICE)("is a dash when it is %s", (price) => {
    expect(formatPrice(price, 2)).toEqual({ parts: [{ text: "–", sub: false }], plain: "–", full: "–" });
  });

  test.each([
    ["de-DE", 97000.1234, "97.000,12", "97.000,12"],
    ["de-DE", 0.00000123, "0,0₅1230", "0,000001230"],
    ["en-IN", 123456.7, "1,23,456.70", "1,23,456.70"],
    ["ar-EG", 0.00000123, "0.0₅1230", "0.000001230"],
  ])("has the separators of %s and digits 0 to 9: %s", (locale, price, plain, full) => {
    expect(formatPrice(price, 8, locale)).toMatchObject({ plain, full });
  });

  test("is well formed and exact enough at every size", () => {
    for (const price of numbers(5_000, -18, 15)) {
      const text = formatPrice(price, 18, "en-US");
      expect(text.full).toMatch(/^(0|[1-9]\d{0,2}(,\d{3})*)\.\d{2,}$/);
      expect(Math.abs(parsed(text.full) - price)).toBeLessThanOrEqual(
        price < 1 ? price * 0.5001e-3 : 0.00501 + price * Number.EPSILON,
      );
      if (price < 0.9999) expect(text.full.replace(/^0\.0*/, "")).toMatch(/^[1-9]\d{3}$/);
      expect(joined(text)).toBe(text.plain);
      const zeros = text.parts.find(({ sub }) => sub)?.text;
      expect(/^0\.(0{4,})/.exec(text.full)?.[1]?.length).toBe(zeros === undefined ? undefined : Number(zeros));
    }
  });

  test("never shrinks while the price grows, even where rounding carries", () => {
    let last = 0;
    for (const price of [...numbers(5_000, -12, 7)].sort((a, b) => a - b)) {
      const shown = parsed(formatPrice(price, 12, "en-US").full);
      expect(shown).toBeGreaterThanOrEqual(last);
      last = shown;
    }
  });
});

describe("a percentage", () => {
  test.each([
    [1.234, "+1.23%", "up"],
    [-1.236, "−1.24%", "down"],
    [0, "0.00%", "flat"],
    [-0, "0.00%", "flat"],
    [-0.004999, "0.00%", "flat"],
    [0.004999, "0.00%", "flat"],
    [0.005, "+0.01%", "up"],
    [-0.005, "−0.01%", "down"],
    [12345.678, "+12,345.68%", "up"],
    [null, "–", "flat"],
    [Number.NaN, "–", "flat"],
    [Number.NEGATIVE_INFINITY, "–", "flat"],
  ])("of %s is %s, %s", (percent, text, pointing) => {
    expect([formatPercent(percent, "en-US"), direction(percent)]).toEqual([text, pointing]);
  });

  test("follows the locale", () => {
    expect(formatPercent(-1.236, "de-DE")).toBe("−1,24\u00a0%");
  });

  test("always points the way that its sign does", () => {
    for (const size of numbers(2_000, -4, 1)) {
      for (const percent of [size, -size]) {
        const sign = { up: "+", down: "−", flat: "0" }[direction(percent)];
        expect(formatPercent(percent, "en-US").charAt(0)).toBe(sign);
      }
    }
  });
});

test.each([
  [1_234_000_000, "1.23B"],
  [45_600_000, "45.6M"],
  [999_999, "1.00M"],
  [0.00012, "0.000120"],
  [1e-9, "0.00000000100"],
  [-0, "0.00"],
  [null, "–"],
  [Number.NaN, "–"],
])("a volume of %s is %s", (volume, expected) => {
  expect(formatVolume(volume, "en-US")).toBe(expected);
});

test("a volume follows the locale", () => {
  expect(formatVolume(1_234_000_000, "de-DE")).toBe("1,23\u00a0Mrd.");
});

test.each([
  [-5_000, "now"],
  [999, "now"],
  [1_000, "1 s"],
  [14_999, "14 s"],
  [59_999, "59 s"],
  [60_000, "1 min"],
  [3_599_999, "59 min"],
  [3_600_000, "1 h"],
  [86_400_000 * 3.5, "3 d"],
  [null, "–"],
  [Number.POSITIVE_INFINITY, "–"],
])("an age of %s ms is %s", (ageMs, expected) => {
  expect(formatAge(ageMs)).toBe(expected);
});

test.each([
  ["97,000.12", "97,000.15", 8],
  ["97,000.12", "97,000.12", 9],
  ["999.99", "1,000.00", 0],
  ["0.0₅1230", "0.0₄1230", 3],
  ["97,000.12", "97,000", 6],
  ["", "1", 0],
])("from %s to %s the first change is at %d", (before, after, index) => {
  expect(firstDifference(before, after)).toBe(index);
});

test.each([
  [0, "", "0.0[5]1230"],
  [2, "0.", "0[5]1230"],
  [3, "0.0", "[5]1230"],
  [6, "0.0[5]12", "30"],
  [8, "0.0[5]1230", ""],
  [99, "0.0[5]1230", ""],
])("cut at %d, a price is %s and %s", (index, before, after) => {
  const write = (parts: PriceText["parts"]) => parts.map(({ text, sub }) => (sub ? `[${text}]` : text)).join("");
  expect(splitParts(formatPrice(0.00000123, 8, "en-US").parts, index).map(write)).toEqual([before, after]);
});

describe("ages in words", () => {
  test.each([
    [null, "–", "–"],
    [Number.NaN, "–", "–"],
    [-500, "just now", "just now"],
    [0, "just now", "just now"],
    [999, "just now", "just now"],
    [1000, "1 s ago", "1 s old"],
    [61_000, "1 min ago", "1 min old"],
  ])("%j ms", (ageMs, ago, old) => {
    expect([formatAgo(ageMs), formatAgo(ageMs, "old")]).toEqual([ago, old]);
  });
});

describe("the prices of an axis", () => {
  const axis = (from: number, step: number, dp = 2) =>
    formatAxis(
      [0, 1, 2, 3, 4].map((number) => from + number * step),
      dp,
      "en",
    );

  test.each([
    ["a small price and a smaller step", 0.011676, 0.000002, 8, ["0.011676", "0.011678", "0.011680", "0.011682", "0.011684"]],
    ["a step of two and a half", 0.0115, 0.000025, 8, ["0.011500", "0.011525", "0.011550", "0.011575", "0.011600"]],
    ["counted zeros", 0.00000123, 0.0000000005, 12, ["0.0₅12300", "0.0₅12305", "0.0₅12310", "0.0₅12315", "0.0₅12320"]],
    [
      "a large price and a small step",
      97_000,
      0.001,
      2,
      ["97,000.000", "97,000.001", "97,000.002", "97,000.003", "97,000.004"],
    ],
    ["a large price and a large step", 97_000, 500, 2, ["97,000.00", "97,500.00", "98,000.00", "98,500.00", "99,000.00"]],
    ["across a band", 9.9999, 0.0001, 4, ["9.9999", "10.0000", "10.0001", "10.0002", "10.0003"]],
    ["from zero", 0, 0.0001, 8, ["0.0000000", "0.0001000", "0.0002000", "0.0003000", "0.0004000"]],
  ])("%s", (_, from, step, dp, expected) => {
    expect(axis(from, step, dp)).toEqual(expected);
  });

  test("are never alike, and never in exponent notation", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: -18, max: 6 }),
        fc.integer({ min: 1, max: 9999 }),
        fc.constantFrom(1, 2, 2.5, 5),
        fc.integer({ min: 0, max: 5 }),
        (magnitude, mantissa, unit, finer) => {
          const step = unit * 10 ** (magnitude - finer);
          const first = Math.round((mantissa * 10 ** magnitude) / step);
          const labels = formatAxis(
            [0, 1, 2, 3, 4, 5].map((number) => (first + number) * step),
            2,
            "en",
          );
          expect(new Set(labels).size).toBe(6);
          expect(labels.join()).not.toMatch(/e/i);
        },
      ),
    );
  });

  test.each([[[]], [[1]], [[1, 1]], [[Number.NaN, 1]], [[Number.POSITIVE_INFINITY]], [[-0.00002, -0.00001, 0]]])(
    "any numbers give as many texts: %j",
    (prices) => {
      expect(formatAxis(prices, 2)).toHaveLength(prices.length);
    },
  );
});
