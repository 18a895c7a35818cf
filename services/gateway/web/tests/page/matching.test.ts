import { describe, expect, test } from "vitest";
import { convertible, matching } from "../../src/page/controls/matching.ts";

describe("search", () => {
  const listed = ["BTC-USDT", "BTC-USDC", "ETH-BTC", "DOGE-USDT", "DOT-USDT", "WBTC-USDT"].map((symbol) => ({
    symbol,
    exchanges: ["okx"],
  }));

  test.each([
    ["btc", ["BTC-USDT", "BTC-USDC", "WBTC-USDT", "ETH-BTC"]],
    ["bitcoin", ["BTC-USDT", "BTC-USDC"]],
    ["do", ["DOT-USDT", "DOGE-USDT"]],
    ["eth/btc", ["ETH-BTC"]],
    ["BTCUSDT", ["BTC-USDT", "WBTC-USDT"]],
    ["BTC/USDT", ["BTC-USDT", "WBTC-USDT"]],
    ["btc_usdt", ["BTC-USDT", "WBTC-USDT"]],
    ["btc - usdt", ["BTC-USDT", "WBTC-USDT"]],
    ["/", []],
    ["xyz", []],
    ["  ", []],
  ])("%j finds %j", (text, expected) => {
    expect(matching(listed, text, "USDT").map((one) => one.symbol)).toEqual(expected);
  });

  test("begins with the quote that is shown", () => {
    expect(matching(listed, "bitcoin", "USDC").map((one) => one.symbol)).toEqual(["BTC-USDC", "BTC-USDT"]);
  });

  test.each([
    ["btc-usd", ["BTC-USD"]],
    ["btc-usdt", []],
    ["btc-eur", []],
    ["xyz-usd", []],
    ["btc", []],
    ["", []],
  ])("%j may be converted to %j", (text, expected) => {
    expect(convertible(listed, text).map((one) => one.symbol)).toEqual(expected);
  });
});
