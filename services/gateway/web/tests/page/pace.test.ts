import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { paced } from "../../src/page/pace.ts";
import { FakeClient, state } from "./fakeClient.ts";

let client: FakeClient;

beforeEach(() => {
  vi.useFakeTimers();
  client = new FakeClient();
});

afterEach(() => {
  vi.useRealTimers();
});

function follow(symbol: string, slow = paced(client, 100)) {
  const store = slow.symbol(symbol);
  const prices: (number | undefined)[] = [];
  const end = store.subscribe(() => prices.push(store.getSnapshot().ticker?.price));
  const say = (price: number) => client.symbol(symbol).set(state(symbol, "ok", { price }));
  return { store, prices, end, say };
}

test("the first change is reported at once, later ones at the pace, always the newest", () => {
  const { prices, say } = follow("BTC-USDT");
  say(1);
  vi.advanceTimersByTime(0);
  expect(prices).toEqual([1]);
  say(2);
  vi.advanceTimersByTime(50);
  say(3);
  vi.advanceTimersByTime(49);
  expect(prices).toEqual([1]);
  vi.advanceTimersByTime(1);
  expect(prices).toEqual([1, 3]);
});

test("a snapshot changes only when listeners are called", () => {
  const { store, say } = follow("BTC-USDT");
  say(1);
  vi.advanceTimersByTime(0);
  say(2);
  expect(store.getSnapshot().ticker?.price).toBe(1);
  vi.advanceTimersByTime(100);
  expect(store.getSnapshot().ticker?.price).toBe(2);
});

test("changes of all symbols are reported together", () => {
  const slow = paced(client, 100);
  const [btc, eth] = [follow("BTC-USDT", slow), follow("ETH-USDT", slow)];
  btc.say(1);
  vi.advanceTimersByTime(0);
  btc.say(2);
  vi.advanceTimersByTime(60);
  eth.say(3);
  vi.advanceTimersByTime(39);
  expect([btc.prices, eth.prices]).toEqual([[1], []]);
  vi.advanceTimersByTime(1);
  expect([btc.prices, eth.prices]).toEqual([[1, 2], [3]]);
});

test("without a listener no change is reported, and a snapshot is the newest state", () => {
  const { store, prices, end, say } = follow("BTC-USDT");
  say(1);
  end();
  vi.advanceTimersByTime(200);
  expect(prices).toEqual([]);
  expect(store.getSnapshot().ticker?.price).toBe(1);
});
