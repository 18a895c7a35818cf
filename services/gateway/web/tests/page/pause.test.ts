import { afterEach, beforeEach, expect, test } from "vitest";
import { pausable } from "../../src/page/pause.ts";
import { pausedAt } from "../../src/page/settings.ts";
import { FakeClient, state } from "./fakeClient.ts";

let client: FakeClient;

beforeEach(() => {
  client = new FakeClient();
});

afterEach(() => pausedAt.set(null));

function follow(symbol: string) {
  const store = pausable(client).symbol(symbol);
  const prices: (number | undefined)[] = [];
  const end = store.subscribe(() => prices.push(store.getSnapshot().ticker?.price));
  return { store, prices, end };
}

const say = (price: number) => client.symbol("BTC-USDT").set(state("BTC-USDT", "ok", { price }));
const listeners = () => client.symbol("BTC-USDT").listeners.size;

test("at a pause all subscriptions end, and each store keeps its state, whatever the client does then", () => {
  const { store, prices } = follow("BTC-USDT");
  say(1);
  pausedAt.set(1);
  expect(listeners()).toBe(0);
  client.symbol("BTC-USDT").set({ ...state("BTC-USDT", "ok", { price: 2 }), status: "idle", isConnected: false });
  expect(store.getSnapshot()).toMatchObject({ isConnected: true, ticker: { price: 1 } });
  expect(prices).toEqual([1]);
});

test("every store is held before any subscription ends, because the last end makes all states idle", () => {
  const both = pausable(client);
  both.symbol("BTC-USDT").subscribe(() => {});
  both.connection.subscribe(() => {});
  const { subscribe } = client.symbol("ETH-USDT");
  Object.assign(client.symbol("ETH-USDT"), {
    subscribe: (listener: () => void) => {
      const end = subscribe(listener);
      return () => {
        end();
        client.connection.set({ ...client.connection.getSnapshot(), status: "idle" });
      };
    },
  });
  both.symbol("ETH-USDT").subscribe(() => {});
  pausedAt.set(1);
  expect(client.connection.getSnapshot().status).toBe("idle");
  expect(both.connection.getSnapshot().status).toBe("live");
});

test("when updates go on, listeners are called with the newest state, and with later ones", () => {
  const { prices } = follow("BTC-USDT");
  pausedAt.set(1);
  say(2);
  pausedAt.set(null);
  expect(prices).toEqual([2]);
  say(3);
  expect(prices).toEqual([2, 3]);
});

test("a listener that comes while updates are paused subscribes when they go on", () => {
  pausedAt.set(1);
  const { prices } = follow("BTC-USDT");
  expect(listeners()).toBe(0);
  pausedAt.set(null);
  expect(listeners()).toBe(1);
  say(2);
  expect(prices.at(-1)).toBe(2);
});

test("a listener that leaves while updates are paused stays away", () => {
  const { end } = follow("BTC-USDT");
  pausedAt.set(1);
  end();
  pausedAt.set(null);
  expect(listeners()).toBe(0);
});
