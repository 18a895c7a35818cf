import { describe, expect, test } from "vitest";
import { standingOf } from "../../src/page/bar/standings.ts";
import { aged } from "../fakes.ts";
import { state } from "./fakeClient.ts";

describe("a symbol's standing", () => {
  test("is the same object while only the price changes", () => {
    const first = standingOf("BTC-USDT", state("BTC-USDT", "ok", { price: 1 }), undefined, 1000);
    expect(standingOf("BTC-USDT", state("BTC-USDT", "ok", { price: 2 }), first, 2000)).toBe(first);
  });

  test("has been stale for as long as the price is old, and its start does not move", () => {
    const stale = state("BTC-USDT", "stale", aged(60_000), { heardAt: 100_000 });
    const first = standingOf("BTC-USDT", stale, undefined, 100_000);
    expect(first.since).toBe(40_000);
    expect(standingOf("BTC-USDT", state("BTC-USDT", "stale", aged(60_000)), first, 200_000)).toBe(first);
  });
});
