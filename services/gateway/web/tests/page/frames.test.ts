import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { ahead, framed } from "../../src/page/frames.ts";
import { FakeClient, state } from "./fakeClient.ts";

let client: FakeClient;

beforeEach(() => {
  vi.useFakeTimers();
  client = new FakeClient();
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const say = (price: number) => client.symbol("BTC-USDT").set(state("BTC-USDT", "ok", { price }));

test("charts receive a price at once, and text in the frame that follows", () => {
  const store = framed(client).symbol("BTC-USDT");
  const told: string[] = [];
  store.subscribe(() => told.push(`text ${store.getSnapshot().ticker?.price}`));
  ahead(store)(() => told.push(`chart ${store.getSnapshot().ticker?.price}`));
  say(1);
  expect(told).toEqual(["chart 1"]);
  vi.advanceTimersToNextFrame();
  expect(told).toEqual(["chart 1", "text 1"]);
});

test("all symbols' texts change in one frame", () => {
  const all = framed(client);
  const told: string[] = [];
  for (const symbol of ["BTC-USDT", "ETH-USDT"]) all.symbol(symbol).subscribe(() => told.push(symbol));
  for (const symbol of ["BTC-USDT", "ETH-USDT"]) client.symbol(symbol).set(state(symbol, "ok", { price: 1 }));
  expect(told).toEqual([]);
  vi.advanceTimersToNextFrame();
  expect(told).toEqual(["BTC-USDT", "ETH-USDT"]);
});

test("without frames, text receives a price all the same", () => {
  vi.stubGlobal("requestAnimationFrame", () => 1);
  const store = framed(client).symbol("BTC-USDT");
  const listener = vi.fn();
  store.subscribe(listener);
  say(1);
  vi.advanceTimersByTime(250);
  say(2);
  vi.advanceTimersByTime(250);
  expect(listener).toHaveBeenCalledTimes(2);
  expect(vi.getTimerCount()).toBe(0);
});

test("an ended subscription is not called, and a symbol's store is the same each time", () => {
  const all = framed(client);
  const store = all.symbol("BTC-USDT");
  expect(all.symbol("BTC-USDT")).toBe(store);
  const listener = vi.fn();
  const end = store.subscribe(listener);
  say(1);
  end();
  vi.advanceTimersToNextFrame();
  expect(listener).not.toHaveBeenCalled();
});
