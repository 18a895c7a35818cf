import { expect, test } from "vitest";
import { suggestionsFor } from "../src/suggestions.ts";
import type { RealtimeError } from "../src/types.ts";

const unknown = (suggestions?: unknown): RealtimeError =>
  ({ code: "unknown_symbol", message: "", ...(suggestions === undefined ? {} : { suggestions }) }) as RealtimeError;

test.each([
  ["BTC/USDT", ["BTC-USDT"]],
  ["BTC_USDT", ["BTC-USDT"]],
  ["btc usdt", ["BTC-USDT"]],
  ["eth:btc", ["ETH-BTC"]],
  ["BTC–USDT", ["BTC-USDT"]],
  ["BTC.USDT", ["BTC-USDT"]],
  ["$btc", ["BTC"]],
  ["not a symbol", []],
  ["BTC/USDT:USDT", []],
  ["??", []],
  ["", []],
])("%j, which is not a symbol, may mean %j", (text, expected) => {
  expect(suggestionsFor(text, unknown())).toEqual(expected);
});

test("the gateway's suggestions take precedence over the spelling", () => {
  expect(suggestionsFor("BTCUSDT-USDT", unknown(["BTC-USDT", 1, null, "WBTC-USDT"]))).toEqual(["BTC-USDT", "WBTC-USDT"]);
  expect(suggestionsFor("BTCUSDT-USDT", unknown([]))).toEqual([]);
});

test("a text without a mistake gets no suggestions", () => {
  expect(suggestionsFor("BTC-USDT", null)).toEqual([]);
  expect(suggestionsFor("BTC-USDT", unknown())).toEqual([]);
  expect(suggestionsFor("BTC/USDT", { code: "busy", message: "" })).toEqual([]);
});
