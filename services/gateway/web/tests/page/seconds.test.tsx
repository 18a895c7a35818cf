import { act, cleanup, renderHook } from "@testing-library/react";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { useSeconds } from "../../src/page/cards/seconds.ts";
import { message } from "../fakes.ts";
import { FakeChart } from "./fakeChart.ts";
import { FakeClient, source, state } from "./fakeClient.ts";

const GRID = { stepS: 1, steps: 600, gapSteps: 4 };
const NOW = 1_800_000_000_000; // a whole second
let client: FakeClient;
let chart: FakeChart;
let histories: number;
let isFailing: boolean;

beforeEach(() => {
  vi.useFakeTimers({ now: NOW });
  client = new FakeClient();
  chart = new FakeChart();
  histories = 0;
  isFailing = false;
  vi.stubGlobal("fetch", async (url: string) => {
    if (!url.startsWith("/api/history")) {
      const tickers = [
        message("BTC-USDT", 1, { sources: [source("okx", { price: 99 }), source("bybit", { state: "stale" })] }),
      ];
      return new Response(JSON.stringify({ tickers, missing: [] }));
    }
    histories += 1;
    if (isFailing) throw new TypeError("no network");
    return new Response(JSON.stringify({ times: [NOW - 2000, NOW - 1000], prices: [10, 11], sources: {} }));
  });
});

afterEach(() => {
  cleanup();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const pass = (ms: number) => act(() => vi.advanceTimersByTimeAsync(ms));

/** Draw, and return a function that tells a price so many milliseconds after the start, and the hook's result. */
async function draw() {
  const { result } = renderHook(() => useSeconds(chart, "BTC", "BTC-USDT", GRID), { wrapper: client.wrapper });
  await pass(0);
  const tell = (afterMs: number, price: number, more = {}) =>
    client.say("BTC", state("BTC-USDT", "ok", { price, aggregatedTime: NOW + afterMs }, more));
  return { tell, result };
}

const prices = () => chart.added.map(({ time, price }) => [time - NOW / 1000, price]);

test("the past is drawn at once, and goes on with the first and the last price of each second", async () => {
  const { tell } = await draw();
  expect(chart.loaded.map(({ price }) => price)).toEqual([10, 11]);
  tell(0, 100);
  tell(250, 101);
  tell(500, 102);
  expect(prices()).toEqual([[0, 100]]);
  tell(1000, 103);
  tell(1250, 104);
  expect(prices()).toEqual([
    [0, 100],
    [0, 102],
    [1, 103],
  ]);
});

test("the last price before silence is drawn", async () => {
  const { tell } = await draw();
  tell(0, 100);
  tell(250, 101);
  tell(250, 101, { status: "stale" });
  expect(prices()).toEqual([
    [0, 100],
    [0, 101],
  ]);
});

test("a price of an earlier second counts for the newest one", async () => {
  const { tell } = await draw();
  tell(1000, 100);
  tell(900, 101);
  tell(2000, 102);
  expect(prices()).toEqual([
    [1, 100],
    [1, 101],
    [2, 102],
  ]);
});

test("an exchange's own price is drawn when it is told, unless it is stale", async () => {
  const { tell } = await draw();
  await pass(100); // the sources have arrived
  tell(0, 100);
  tell(1000, 100);
  expect(chart.added.map(({ sources }) => sources)).toEqual([{ okx: 99 }, {}]);
});

test("after a gap, the past is loaded again", async () => {
  const { tell } = await draw();
  tell(0, 100);
  tell(3000, 100);
  await pass(0);
  expect(histories).toBe(1);
  tell(7000, 100);
  await pass(0);
  expect(histories).toBe(2);
});

test("without a past, live prices are drawn, and it is asked for again", async () => {
  isFailing = true;
  const { tell, result } = await draw();
  expect(result.current).toBe(true);
  tell(0, 100);
  expect([chart.loaded, prices()]).toEqual([[], [[0, 100]]]);
  isFailing = false;
  await pass(5000);
  expect(result.current).toBe(false);
  expect(chart.loaded).toHaveLength(2);
});
