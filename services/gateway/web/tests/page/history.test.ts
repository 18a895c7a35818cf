import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { fetchHistory } from "../../src/page/history.ts";
import { pass } from "../fakes.ts";

const HISTORY = { symbol: "BTC-USDT", resolution: "1s", stepMs: 1000, times: [1000], prices: [1], sources: {} };

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const failures: [string, () => Promise<Response>][] = [
  ["no network", () => Promise.reject(new TypeError("network error"))],
  ["an error", async () => new Response("{}", { status: 503 })],
  ["a limit", async () => new Response("{}", { status: 429 })],
  ["no JSON", async () => new Response("<html>")],
  ["no history", async () => Response.json({})],
];

test.each(failures)("%s is reported as a failure, and the history is requested until it arrives", async (_, fail) => {
  let asked = 0;
  vi.stubGlobal("fetch", () => {
    asked += 1;
    return asked < 4 ? fail() : Promise.resolve(Response.json(HISTORY));
  });
  const onFailure = vi.fn();
  const history = fetchHistory("BTC-USDT", "1s", new AbortController().signal, 60, onFailure);
  await pass(1);
  expect(onFailure).toHaveBeenCalledTimes(1);
  await pass(60_000);
  expect(await history).toEqual(HISTORY);
  expect(asked).toBe(4);
});

test("in the long run it is requested once a minute, and not at all after the end", async () => {
  const fetch = vi.fn(() => Promise.reject(new TypeError("network error")));
  vi.stubGlobal("fetch", fetch);
  const end = new AbortController();
  const history = fetchHistory("BTC-USDT", "1s", end.signal);
  await pass(3_600_000);
  expect(fetch.mock.calls.length).toBeGreaterThan(50);
  expect(fetch.mock.calls.length).toBeLessThan(70);
  end.abort();
  expect(await history).toBeNull();
});

test("a refusal ends the requests", async () => {
  const fetch = vi.fn(async () => new Response("{}", { status: 404 }));
  vi.stubGlobal("fetch", fetch);
  expect(await fetchHistory("NO-SUCH", "1s", new AbortController().signal)).toBeNull();
  expect(fetch).toHaveBeenCalledTimes(1);
});
