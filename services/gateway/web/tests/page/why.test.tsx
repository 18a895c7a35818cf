import { cleanup, fireEvent, render, screen, within } from "@testing-library/react";
import { afterEach, describe, expect, test } from "vitest";
import { WhyThisPrice } from "../../src/page/cards/WhyThisPrice.tsx";
import { contributions } from "../../src/page/cards/why.ts";
import { message } from "../fakes.ts";
import { source } from "./fakeClient.ts";

afterEach(cleanup);

const priceOf = (sources: { weight: number; usedPrice: number | null }[]) =>
  sources.reduce((sum, { weight, usedPrice }) => sum + weight * (usedPrice ?? 0), 0);

const THIRDS = [
  source("binance", { usedPrice: 64000.1, weight: 1 / 3 }),
  source("bybit", { usedPrice: 64001.2, weight: 1 / 3 }),
  source("okx", { usedPrice: 63999.5, weight: 1 / 3 }),
];
const TINY = [source("binance", { usedPrice: 0.00001234, weight: 0.5 }), source("okx", { usedPrice: 0.00001235, weight: 0.5 })];
const HUGE = [
  source("binance", { usedPrice: 12345678.12345, weight: 0.3 }),
  source("okx", { usedPrice: 12345679.1, weight: 0.7 }),
];
const ALONE = [
  source("binance", { usedPrice: null, weight: 0, state: "stale" }),
  source("okx", { usedPrice: 64010.55, weight: 1 }),
];

describe("the parts of a price", () => {
  test.each([
    ["three alike", THIRDS, 2],
    ["very small", TINY, 8],
    ["too large for exact decimals", HUGE, 10],
    ["one of two", ALONE, 2],
  ])("%s: add up digit by digit, each off by less than its last digit", (_, sources, dp) => {
    const sum = contributions(sources, priceOf(sources), dp);
    if (!sum) throw new Error("no sum");
    const unit = 10 ** sum.decimals;
    const whole = sum.parts.map((part) => Math.round((part ?? 0) * unit));
    expect(whole.reduce((a, b) => a + b, 0)).toBe(Math.round(sum.total * unit));
    expect(sum.total).toBeCloseTo(priceOf(sources), sum.decimals);
    for (const [index, { weight, usedPrice }] of sources.entries())
      expect(Math.abs((sum.parts[index] ?? 0) - weight * (usedPrice ?? 0)) * unit).toBeLessThan(1.001);
  });

  test("has the published price's precision", () => {
    expect(contributions(THIRDS, priceOf(THIRDS), 2)?.decimals).toBe(4);
  });

  test.each([
    ["a held price, of which no source is a part", [source("okx", { usedPrice: null })], 100],
    ["a price that the sources do not make", THIRDS, 64010],
    ["no sources", [], 100],
  ])("%s: there is no sum", (_, sources, price) => {
    expect(contributions(sources, price, 2)).toBeNull();
  });
});

describe("the table", () => {
  const sources = [
    source("binance", { price: 57600, usedPrice: null, weight: 0, state: "excluded", reason: "10.0 % from the median" }),
    source("bybit", { price: 64010, usedPrice: 64010, weight: 0.6 }),
    source("okx", { price: 64000, usedPrice: 64000, weight: 0.4 }),
  ];

  function open(ticker = message("BTC-USDT", 1, { sources, price: 64006 })) {
    const { container } = render(<WhyThisPrice ticker={ticker} />);
    const details = container.querySelector("details");
    if (!details) throw new Error("no disclosure");
    expect(screen.queryByRole("table")).toBeNull();
    details.open = true;
    fireEvent(details, new Event("toggle"));
    return screen.getAllByRole("row").map((row) => within(row));
  }

  test("lists every source, its part, and the sum that is the price", () => {
    const [, , bybit, okx, sum] = open();
    expect(bybit?.getByText("38,406.0000")).toBeTruthy();
    expect(okx?.getByText("25,600.0000")).toBeTruthy();
    expect(sum?.getByText("64,006.0000")).toBeTruthy();
    expect(sum?.getByText("100.0%")).toBeTruthy();
  });

  test("strikes through sources that are not used, with the reason in words", () => {
    const [, binance, bybit] = open();
    expect(binance?.getByText("Binance").closest("s")).toBeTruthy();
    expect(binance?.getByText("57,600.00").closest("s")).toBeTruthy();
    expect(binance?.getByText("excluded: 10.0 % from the median")).toBeTruthy();
    expect(bybit?.getByText("Bybit").closest("s")).toBeNull();
  });

  test("says that a held price is the last known price", () => {
    const held = sources.map((one) => ({ ...one, usedPrice: null, state: "stale" as const }));
    const rows = open(message("BTC-USDT", 1, { sources: held, price: 64006, quality: "stale" }));
    expect(rows.at(-1)?.getByText("This is the last known price.")).toBeTruthy();
  });
});
