import { act, cleanup, renderHook } from "@testing-library/react";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { away, useAway } from "../../src/page/bar/away.ts";
import { FakeClient, state } from "./fakeClient.ts";

const SYMBOLS = ["BTC-USDT", "ETH-USDT"];
let client: FakeClient;
let isHidden = false;

beforeEach(() => {
  vi.useFakeTimers();
  vi.spyOn(document, "hidden", "get").mockImplementation(() => isHidden);
  client = new FakeClient();
  client.symbol("BTC-USDT").set(state("BTC-USDT", "ok", { price: 100 }));
  client.symbol("ETH-USDT").set(state("ETH-USDT", "stale", { price: 10 }));
  renderHook(() => useAway(SYMBOLS), { wrapper: client.wrapper });
});

afterEach(() => {
  cleanup();
  act(() => away.set(null));
  vi.useRealTimers();
});

function be(hidden: boolean) {
  isHidden = hidden;
  act(() => {
    document.dispatchEvent(new Event("visibilitychange"));
  });
}

test("reports how far prices moved, by the first live price after the return", () => {
  be(true);
  vi.advanceTimersByTime(90_000);
  be(false);
  expect(away.get()).toEqual({ awayMs: 90_000, moves: {} });
  client.say("BTC-USDT", state("BTC-USDT", "stale", { price: 200 }));
  expect(away.get()?.moves).toEqual({});
  client.say("BTC-USDT", state("BTC-USDT", "ok", { price: 103 }));
  client.say("BTC-USDT", state("BTC-USDT", "ok", { price: 105 }));
  expect(away.get()?.moves["BTC-USDT"]).toBeCloseTo(3);
});

test("does not report a price that was not live when the page was left", () => {
  be(true);
  vi.advanceTimersByTime(90_000);
  be(false);
  client.say("ETH-USDT", state("ETH-USDT", "ok", { price: 20 }));
  expect(away.get()?.moves).toEqual({});
});

test("does not report a short absence", () => {
  be(true);
  vi.advanceTimersByTime(59_000);
  be(false);
  expect(away.get()).toBeNull();
});
