import { act, cleanup, fireEvent, render, screen, within } from "@testing-library/react";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { WhyThisPrice } from "../../src/page/cards/WhyThisPrice.tsx";
import { contributions, type Rate } from "../../src/page/cards/why.ts";
import { pausedAt } from "../../src/page/settings.ts";
import type { TickerSource } from "../../src/types.ts";
import { message } from "../fakes.ts";
import { source } from "./fakeClient.ts";

afterEach(() => {
  cleanup();
  act(() => pausedAt.set(null));
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

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

  let answer: unknown;
  let asked: string[];

  beforeEach(() => {
    vi.useFakeTimers();
    answer = message("BTC-USDT", 1, { sources, price: 64006 });
    asked = [];
    vi.stubGlobal("fetch", async (url: string) => {
      asked.push(url);
      return answer ? new Response(JSON.stringify(answer)) : new Response("{}", { status: 503 });
    });
  });

  const pass = (ms: number) => act(() => vi.advanceTimersByTimeAsync(ms));
  const rows = () => screen.getAllByRole("row").map((row) => within(row));

  async function toggle(isOpen: boolean) {
    const details = document.querySelector("details");
    if (!details) throw new Error("no disclosure");
    details.open = isOpen;
    fireEvent(details, new Event("toggle"));
    await pass(0);
  }

  async function open() {
    render(<WhyThisPrice symbol="BTC-USDT" />);
    expect(screen.queryByRole("table")).toBeNull();
    expect(asked).toEqual([]);
    await toggle(true);
    return rows();
  }

  test("is requested every second while it is open", async () => {
    await open();
    expect(asked).toEqual(["/api/ticker/BTC-USDT?fields=price,dp,sources"]);
    answer = message("BTC-USDT", 2, { sources: [source("okx", { usedPrice: 65_000, weight: 1 })], price: 65_000 });
    await pass(1000);
    expect(rows().at(-1)?.getByText("65,000.0000")).toBeTruthy();
    await toggle(false);
    await pass(10_000);
    expect(asked).toHaveLength(2);
  });

  test("stands still while updates are paused, and goes on afterwards", async () => {
    await open();
    act(() => pausedAt.set(1));
    await pass(5000);
    expect(asked).toHaveLength(1);
    expect(rows().at(-1)?.getByText("64,006.0000")).toBeTruthy();
    act(() => pausedAt.set(null));
    await pass(0);
    expect(asked).toHaveLength(2);
  });

  test("is requested more rarely while the page is hidden, and at once when it is visible again", async () => {
    await open();
    vi.spyOn(document, "hidden", "get").mockReturnValue(true);
    await pass(1000);
    expect(asked).toHaveLength(2);
    await pass(9000);
    expect(asked).toHaveLength(2);
    await pass(1000);
    expect(asked).toHaveLength(3);
    vi.spyOn(document, "hidden", "get").mockReturnValue(false);
    document.dispatchEvent(new Event("visibilitychange"));
    await pass(0);
    expect(asked).toHaveLength(4);
    await pass(1000);
    expect(asked).toHaveLength(5);
  });

  test.each([
    ["a refusal", null],
    ["a malformed answer", { symbol: "BTC-USDT", price: "1" }],
    ["an answer without sources", { ...message("BTC-USDT", 2), sources: undefined }],
  ])("%s changes nothing, and the next answer counts", async (_, bad) => {
    await open();
    answer = bad;
    await pass(1000);
    expect(rows().at(-1)?.getByText("64,006.0000")).toBeTruthy();
    answer = message("BTC-USDT", 3, { sources: [source("okx", { usedPrice: 65_000, weight: 1 })], price: 65_000 });
    await pass(1000);
    expect(rows().at(-1)?.getByText("65,000.0000")).toBeTruthy();
  });

  test("lists every source, its part, and the sum that is the price", async () => {
    const [, , bybit, okx, sum] = await open();
    expect(bybit?.getByText("38,406.0000")).toBeTruthy();
    expect(okx?.getByText("25,600.0000")).toBeTruthy();
    expect(sum?.getByText("64,006.0000")).toBeTruthy();
    expect(sum?.getByText("100.00%")).toBeTruthy();
  });

  test("strikes through sources that are not used, with the reason in words", async () => {
    const [, binance, bybit] = await open();
    expect(binance?.getByText("Binance").closest("s")).toBeTruthy();
    expect(binance?.getByText("57,600.00").closest("s")).toBeTruthy();
    expect(binance?.getByText("excluded: 10.0 % from the median")).toBeTruthy();
    expect(bybit?.getByText("Bybit").closest("s")).toBeNull();
  });

  describe("with converted prices", () => {
    const rate = {
      symbol: "USDT-USD",
      seq: 7,
      price: 0.9997123,
      bid: 0.9997,
      ask: 0.9998,
      open24h: 0.9999,
      confidence: 0.0001,
    };
    const via: Rate = { ...rate, quality: "ok", ageMs: 1200 };
    const converted = [
      source("coinbase", { price: 64000, usedPrice: 64000, weight: 0.5, quoteVolumeEstimated: true }),
      source("binance", { price: 64001.581446, usedPrice: 64001.581446, weight: 0.5, ownPrice: 64020, via }),
    ];
    const show = async (...sources: TickerSource[]) => {
      const price = sources.reduce((sum, { weight, usedPrice }) => sum + weight * (usedPrice ?? 0), 0);
      answer = message("BTC-USD", 1, { symbol: "BTC-USD", sources, price: price || null });
      return open();
    };
    const notes = () => [...document.querySelectorAll(".why-note")].map((note) => note.textContent);

    test("shows each one's own price and the rate, and the rate's spread, quality and age", async () => {
      const [heads, coinbase, binance] = await show(...converted);
      expect(heads?.getAllByRole("columnheader").map((cell) => cell.textContent)).toEqual([
        ...["Exchange", "Own price × rate", "= USD", "Used", "× Weight", "= Part", "Age", "State"],
      ]);
      const cells = (row: typeof binance) => row?.getAllByRole("cell").map((cell) => cell.textContent);
      expect(cells(binance)?.slice(0, 3)).toEqual(["64,020.00 USDT × 0.9997123", "64,001.58", "64,001.58"]);
      expect(cells(coinbase)?.slice(0, 2)).toEqual(["–", "64,000.00"]);
      expect(notes()[0]).toBe("Rate: USDT is 0.9997123 USD ± 0.0001, ok: several exchanges agree on it; 1 s old.");
    });

    test("marks a turnover that is estimated, and says what that means", async () => {
      const [, coinbase, binance] = await show(...converted);
      expect(coinbase?.getByText("≈ 50.00%")).toBeTruthy();
      expect(binance?.getByText("50.00%")).toBeTruthy();
      expect(notes()[1]).toMatch(/^≈ .* estimated/);
    });

    test("tells a depeg", async () => {
      const [, binance] = await show(
        source("binance", { ownPrice: 67000, via: { ...via, price: 0.95 }, reason: "USDT at 0.9500", weight: 1 }),
      );
      expect(binance?.getByText("used: USDT at 0.9500")).toBeTruthy();
      expect(notes()[0]).toContain("USDT is 0.9500 USD");
    });

    test("shows an exchange's own price although there is no rate", async () => {
      const none = { ...via, price: null, bid: null, ask: null, open24h: null, confidence: null, ageMs: null };
      const gone = { price: null, usedPrice: null, weight: 0, state: "stale", reason: "no rate", ownPrice: 64020 } as const;
      const [, , binance] = await show(
        source("coinbase", { weight: 1 }),
        source("binance", { ...gone, via: { ...none, quality: "down" } }),
      );
      expect(binance?.getByText("64,020.00 USDT × –")).toBeTruthy();
      expect(binance?.getByText("no price")).toBeTruthy();
      expect(binance?.getByText("stale: no rate")).toBeTruthy();
      expect(notes()).toEqual(["Rate: there is no price of USDT in USD now, so prices in USDT do not count."]);
    });

    test.each([
      ["disputed", 300, "disputed: the exchanges disagree on it, so it does not count; just now."],
      ["single", null, "single: only one exchange has it; fewer than two fresh markets."],
    ] as const)("says what a rate of quality %s and age %j means", async (quality, ageMs, words) => {
      await show(source("binance", { ownPrice: 100, via: { ...via, quality, ageMs }, weight: 1 }));
      expect(notes()[0]).toContain(words);
    });
  });

  test("says that a held price is the last known price", async () => {
    const held = sources.map((one) => ({ ...one, usedPrice: null, state: "stale" as const }));
    answer = message("BTC-USDT", 1, { sources: held, price: 64006, quality: "stale" });
    expect((await open()).at(-1)?.getByText("This is the last known price.")).toBeTruthy();
  });
});
