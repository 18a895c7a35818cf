import { describe, expect, test } from "vitest";
import { summaryOf, transitionsOf } from "../../src/page/bar/spoken.ts";
import type { Standing } from "../../src/page/bar/standings.ts";
import { state } from "./fakeClient.ts";

describe("what is said", () => {
  const standing = (symbol: string, trust: Standing["trust"]): Standing => ({
    symbol,
    trust,
    isConnected: trust === "live",
    since: 0,
    reason: "No exchange confirms this price.",
  });
  const symbols = ["BTC-USDT", "ETH-USDT", "SOL-USDT", "XYZ-USDT"];
  const all = (trust: Standing["trust"]) => symbols.map((symbol) => standing(symbol, trust));

  test.each([
    ["nothing at a good start", null, all("live"), ""],
    ["what is wrong at the start", null, [standing("ETH-USDT", "stale")], "Ethereum: No exchange confirms this price."],
    ["nothing when nothing changed", all("stale"), all("stale"), ""],
    ["what changed", [standing("XYZ-USDT", "stale")], [standing("XYZ-USDT", "live")], "XYZ: live."],
    ["a count when much changed", all("live"), all("stale"), "0 of 4 prices are live."],
  ])("%s", (_, before, after, expected) => {
    expect(transitionsOf(before, after)).toBe(expected);
  });

  test("prices in a summary: old ones are said to be", () => {
    const text = summaryOf([
      ["BTC-USDT", state("BTC-USDT", "ok", { price: 63000, changePercent24h: -1.5 })],
      ["ETH-USDT", state("ETH-USDT", "stale", { price: 3000 })],
      ["XYZ-USDT", state("XYZ-USDT", "down", { price: null })],
    ]);
    expect(text).toBe("Bitcoin 63,000.00, down 1.50%. Ethereum was 3,000.00, which is stale. XYZ has no price.");
  });
});
