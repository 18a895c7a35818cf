/** The exchanges' lines in a chart: which are shown, and how they are told apart. */
import { readFileSync } from "node:fs";
import { act, cleanup, fireEvent, render, screen } from "@testing-library/react";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Legend } from "../../src/page/cards/Legend.tsx";
import { heaviest, lineNumber, shownLines } from "../../src/page/cards/lines.ts";
import type { TickerSource } from "../../src/types.ts";
import { message } from "../fakes.ts";
import { source } from "./fakeClient.ts";

const SIX = ["binance", "bybit", "coinbase", "cryptocom", "kraken", "okx"];
const weighed = (...weights: number[]) => weights.map((weight, index) => source(SIX[index] ?? "", { weight }));

let sources: readonly TickerSource[];

beforeEach(() => {
  vi.useFakeTimers();
  sources = weighed(0.4, 0.1, 0.05, 0.1, 0.05, 0.3);
  vi.stubGlobal("fetch", async (url: string) => {
    const [symbol = ""] = new URL(url, "http://here").searchParams.get("symbols")?.split(",") ?? [];
    return Response.json({ tickers: [message(symbol, 1, { sources: [...sources] })], missing: [] });
  });
});

afterEach(() => {
  cleanup();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const pass = (ms: number) => act(() => vi.advanceTimersByTimeAsync(ms));
const pressed = () =>
  screen.getAllByRole("button", { pressed: true }).map((button) => button.querySelector("span")?.textContent);

test("the heaviest three, of equal ones the first by name", () => {
  expect(heaviest(sources)).toEqual(["binance", "okx", "bybit"]);
  expect(heaviest(weighed(0, 0))).toEqual(["binance", "bybit"]);
});

test("every exchange has a price in the legend, and the three heaviest have a line", async () => {
  render(<Legend symbol="A-USD" dp={2} />);
  await pass(0);
  expect(screen.getAllByRole("button")).toHaveLength(6);
  expect(pressed()).toEqual(["Binance", "Bybit", "OKX"]);
});

test("a line stays until a hidden exchange has twice its weight", async () => {
  render(<Legend symbol="B-USD" dp={2} />);
  await pass(0);
  sources = weighed(0.4, 0.06, 0.11, 0.1, 0.03, 0.3);
  await pass(3000);
  expect(pressed()).toEqual(["Binance", "Bybit", "OKX"]);
  sources = weighed(0.4, 0.05, 0.11, 0.1, 0.03, 0.31);
  await pass(3000);
  expect(pressed()).toEqual(["Binance", "Coinbase", "OKX"]);
  sources = [...sources, source("bitstamp", { weight: 0.9 })];
  await pass(3000);
  expect(pressed()).toEqual(["Binance", "Bitstamp", "OKX"]);
});

test("while no exchange counts, some lines are shown, and the heaviest once they are known", async () => {
  sources = weighed(0, 0, 0, 0, 0, 0);
  render(<Legend symbol="C-USD" dp={2} />);
  await pass(0);
  expect(pressed()).toEqual(["Binance", "Bybit", "Coinbase"]);
  sources = weighed(0.1, 0, 0, 0.3, 0.2, 0.4);
  await pass(3000);
  expect(pressed()).toEqual(["Crypto.com", "Kraken", "OKX"]);
  sources = weighed(0, 0, 0, 0, 0, 0);
  await pass(3000);
  expect(pressed()).toEqual(["Crypto.com", "Kraken", "OKX"]);
});

test("the visitor's choice stays", async () => {
  render(<Legend symbol="D-USD" dp={2} />);
  await pass(0);
  fireEvent.click(screen.getByRole("button", { name: /Kraken/ }));
  fireEvent.click(screen.getByRole("button", { name: /Binance/ }));
  expect(pressed()).toEqual(["Bybit", "Kraken", "OKX"]);
  sources = [...sources, source("bitstamp", { weight: 0.9 })];
  await pass(3000);
  expect(pressed()).toEqual(["Bybit", "Kraken", "OKX"]);
  expect(shownLines("D-USD").get()).toEqual(["okx", "bybit", "kraken"]);
});

test("six exchanges have six styles, which differ without their colours", () => {
  expect(new Set(SIX.map(lineNumber))).toEqual(new Set([1, 2, 3, 4, 5, 6]));
  const css = readFileSync("src/page/cards/Legend.css", "utf8");
  const drawn = [1, 2, 3, 4, 5, 6].map((number) => {
    const [, rules = ""] = new RegExp(`\\[data-line="${number}"\\] svg \\{([^}]*)\\}`).exec(css) ?? [];
    return rules
      .replace(/stroke: [^;]*;/, "")
      .replace(/\s+/g, " ")
      .trim();
  });
  expect(new Set(drawn).size).toBe(6);
});
