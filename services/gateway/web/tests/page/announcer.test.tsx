import { act, cleanup, render, screen } from "@testing-library/react";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { announcement } from "../../src/page/announcement.ts";
import { Announcer } from "../../src/page/bar/Announcer.tsx";
import { announcing } from "../../src/page/settings.ts";
import { FakeClient, state } from "./fakeClient.ts";

const SYMBOLS = ["BTC-USDT", "ETH-USDT"];
let client: FakeClient;

beforeEach(() => {
  vi.useFakeTimers();
  client = new FakeClient();
  client.symbol("BTC-USDT").set(state("BTC-USDT", "ok", { price: 63_000, changePercent24h: 1 }));
  client.symbol("ETH-USDT").set(state("ETH-USDT", "ok", { price: 3000, changePercent24h: 0 }));
  render(<Announcer symbols={SYMBOLS} />, { wrapper: client.wrapper });
});

afterEach(() => {
  cleanup();
  act(() => {
    announcement.set("");
    announcing.set(false);
  });
  vi.useRealTimers();
});

const pass = (ms: number) => act(() => vi.advanceTimersByTime(ms));
const said = () => screen.getByRole("status").textContent;

test("changes of price alone are never announced", () => {
  for (let second = 0; second < 60; second++) {
    client.say("BTC-USDT", state("BTC-USDT", "ok", { price: 63_000 + second }));
    pass(1000);
  }
  expect(said()).toBe("");
});

test("a change of state is announced once it has lasted three seconds, and so is its end", () => {
  pass(3000);
  client.say("ETH-USDT", state("ETH-USDT", "stale"));
  pass(2900);
  expect(said()).toBe("");
  pass(100);
  expect(said()).toBe("Ethereum: No exchange confirms this price.");
  client.say("ETH-USDT", state("ETH-USDT", "ok"));
  pass(3000);
  expect(said()).toBe("Ethereum: live.");
});

test("a change that is over within three seconds is not announced", () => {
  pass(3000);
  client.say("ETH-USDT", state("ETH-USDT", "stale"));
  pass(1000);
  client.say("ETH-USDT", state("ETH-USDT", "ok"));
  pass(10_000);
  expect(said()).toBe("");
});

test("a lost stream is announced once, not symbol by symbol", () => {
  pass(3000);
  act(() => client.connection.set({ status: "reconnecting", exchanges: {}, simulated: false }));
  for (const symbol of SYMBOLS) client.say(symbol, state(symbol, "ok", {}, { status: "reconnecting" }));
  pass(3000);
  expect(said()).toBe("Reconnecting.");
});

test("on request the prices are announced, at least ten seconds apart", () => {
  pass(3000);
  act(() => announcing.set(true));
  expect(said()).toBe("Bitcoin 63,000.00 USDT, up 1.00%. Ethereum 3,000.00 USDT, unchanged.");
  client.say("BTC-USDT", state("BTC-USDT", "ok", { price: 64_000, changePercent24h: 2 }));
  pass(10_000);
  expect(said()).toMatch(/^Bitcoin 63,000/);
  pass(5000);
  expect(said()).toMatch(/^Bitcoin 64,000/);
});
