import { describe, expect, test } from "vitest";
import { summaryOf, transitionsOf } from "../../src/page/bar/spoken.ts";
import type { Standing } from "../../src/page/bar/standings.ts";
import { state } from "./fakeClient.ts";

describe("announcements", () => {
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
    ["say nothing if all is well at the start", null, all("live"), ""],
    [
      "say at the start if a price is not live",
      null,
      [standing("ETH-USDT", "stale")],
      "Ethereum: No exchange confirms this price.",
    ],
    ["say nothing if nothing changed", all("stale"), all("stale"), ""],
    ["say which state changed", [standing("XYZ-USDT", "stale")], [standing("XYZ-USDT", "live")], "XYZ: live."],
    ["give only a count if many states changed", all("live"), all("stale"), "0 of 4 prices are live."],
  ])("%s", (_, before, after, expected) => {
    expect(transitionsOf(before, after)).toBe(expected);
  });

  test("say in a summary which prices are old", () => {
    const text = summaryOf([
      ["BTC-USDT", state("BTC-USDT", "ok", { price: 63000, changePercent24h: -1.5 })],
      ["ETH-USDT", state("ETH-USDT", "stale", { price: 3000 })],
      ["XYZ-USDT", state("XYZ-USDT", "down", { price: null })],
    ]);
    expect(text).toBe("Bitcoin 63,000.00 USDT, down 1.50%. Ethereum was 3,000.00 USDT, which is stale. XYZ has no price.");
  });
});
