import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { type CandlesState, candlesOf } from "../src/candles.ts";
import { createRealtimeClient } from "../src/client.ts";
import type { CandleMessage, RealtimeClient, Store } from "../src/types.ts";
import {
  candle,
  connected,
  FakeEventSource,
  type FakeRest,
  fakeBrowser,
  MINUTE_MS,
  message,
  pass,
  past,
  unknownSymbols,
} from "./fakes.ts";

let rest: FakeRest;
let client: RealtimeClient;
let served: CandleMessage[]; // what the gateway answers from, oldest first
let status: number; // of the answers about candles; 200 for good ones, 0 for none at all

const NOW = Math.floor(1_700_000_000_000 / MINUTE_MS); // the minute in which a test begins

beforeEach(() => {
  rest = fakeBrowser();
  client = createRealtimeClient();
  served = minutes(NOW - 3, NOW);
  status = 200;
  rest.answer = (url) => {
    const { pathname, searchParams } = new URL(url, "http://here");
    if (!pathname.startsWith("/api/candles/")) return { body: { tickers: [message("BTC-USDT", 1)], missing: [] } };
    if (!status) return null;
    if (status !== 200) return { status, body: { code: "some_reason", detail: `no candles: ${status}` } };
    const candles = served.slice(-Number(searchParams.get("limit"))).map((one) => (one.closed ? past(one) : one));
    return { body: { symbol: served[0]?.symbol ?? "BTC-USDT", interval: "1m", exchange: null, candles } };
  };
});

afterEach(() => {
  client.close();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

/** Return a candle for each of these minutes; the last one is open. */
function minutes(first: number, last: number, more: Partial<CandleMessage> = {}): CandleMessage[] {
  return Array.from({ length: last - first + 1 }, (_, at) => candle(first + at, { closed: first + at < last, ...more }));
}

const store = (symbol = "BTC", limit = 500): Store<CandlesState> => candlesOf(client, symbol, "1m", { limit });
const state = () => store().getSnapshot();
const shown = () => state().candles.map(({ start }) => start / MINUTE_MS);
const asked = () => rest.asked.filter((url) => url.includes("/api/candles/"));
const newest = () => FakeEventSource.newest;

/** Deliver candles by the stream, and run the frame that shows them. */
async function say(...candles: CandleMessage[]) {
  for (const data of candles) newest().say({ type: "candle", data });
  await pass(20);
}

/** Listen on an open stream that has delivered the open candle twice. */
async function live(limit = 500) {
  const end = store("BTC", limit).subscribe(() => {});
  await pass(20);
  newest().connect();
  await pass(40);
  await say(candle(NOW, { closed: false }), candle(NOW, { closed: false, lastSeq: 5000, close: 105 }));
  return end;
}

test("candles alone are one stream without tickers, and one request once it is open", async () => {
  store().subscribe(() => {});
  await pass(20);
  expect(newest().url).toBe("/api/realtime?symbols=BTC&kinds=candle%3A1m%3ABTC&max_hz=4");
  expect(rest.asked).toEqual([]);
  expect(state()).toEqual({ candles: [], status: "loading", problem: null, missed: 0 });
  newest().connect();
  await pass(40);
  expect(rest.asked).toEqual(["/api/candles/BTC?interval=1m&limit=500"]);
  expect(shown()).toEqual([NOW - 3, NOW - 2, NOW - 1, NOW]);
  await say(candle(NOW, { closed: false }), candle(NOW, { closed: false, lastSeq: 5000, close: 105 }));
  expect(state()).toMatchObject({ status: "live", problem: null });
  expect(state().candles.at(-1)).toMatchObject({ lastSeq: 5000, close: 105 });
});

test("a page with prices asks for candles beside them, and only the symbols with candles", async () => {
  client.symbol("ETH", { fields: ["price"] }).subscribe(() => {});
  await live();
  expect(newest().url).toBe("/api/realtime?symbols=BTC%2CETH&fields=price&kinds=ticker%2Ccandle%3A1m%3ABTC&max_hz=4");
});

test("several listeners share one series, one request and the longest limit, and each gets its own number", async () => {
  store("BTC", 2).subscribe(() => {});
  store("btc", 3).subscribe(() => {});
  await live();
  expect(asked()).toHaveLength(1);
  expect(
    store("BTC", 2)
      .getSnapshot()
      .candles.map(({ start }) => start / MINUTE_MS),
  ).toEqual([NOW - 1, NOW]);
  expect(store("BTC", 2).getSnapshot()).toBe(store("btc", 2).getSnapshot());
  expect(store("BTC", 3).getSnapshot().candles).toHaveLength(3);
});

test("of one start the closed one, the higher revision and the later tickers win, in any order", async () => {
  await live();
  const versions = [
    candle(NOW, { closed: false, lastSeq: 5001 }),
    candle(NOW, { closed: true, lastSeq: 5002 }),
    candle(NOW, { closed: true, lastSeq: 5002, revision: 1 }),
    candle(NOW, { closed: true, lastSeq: null, revision: 2 }),
  ];
  for (const one of versions) {
    await say(one);
    expect(state().candles.at(-1)).toEqual(one);
  }
  for (const one of versions) await say(one);
  expect(state().candles.at(-1)).toEqual(versions[3]);
});

test("if numbers begin anew, an open candle counts once it was published much later; a closed one stays closed", async () => {
  await live();
  const numbered = (lastSeq: number, afterMs: number) =>
    candle(NOW, { closed: false, lastSeq, publishedTime: NOW * MINUTE_MS + afterMs });
  await say(numbered(7, 10_000));
  expect(state().candles.at(-1)?.lastSeq).toBe(5000);
  await say(numbered(8, 10_001));
  expect(state().candles.at(-1)?.lastSeq).toBe(8);
  const closed = candle(NOW, { lastSeq: 8 });
  await say(closed, numbered(9, 40_000));
  expect(state().candles.at(-1)).toEqual(closed);
});

test("after an interruption the candles that may be missing or corrected are requested, and only those", async () => {
  await live();
  newest().fail();
  await pass(5 * MINUTE_MS);
  served = minutes(NOW - 3, NOW + 5).map((one) => (one.start <= NOW * MINUTE_MS ? { ...one, revision: 1 } : one));
  newest().connect();
  rest.asked = [];
  await pass(40);
  expect(asked()).toEqual([expect.stringMatching(/limit=(9|10)$/)]);
  await say(candle(NOW + 5, { closed: false }), candle(NOW + 5, { closed: false, lastSeq: 9000 }));
  expect(shown()).toEqual(Array.from({ length: 9 }, (_, at) => NOW - 3 + at));
  expect(state().candles.map(({ revision }) => revision)).toEqual([1, 1, 1, 1, 0, 0, 0, 0, 0]);
  expect(state().status).toBe("live");
});

test("a missing minute is requested before later ones are shown", async () => {
  await live();
  status = 0;
  await say(candle(NOW, {}), candle(NOW + 2, { closed: false }));
  expect(shown()).toEqual([NOW - 3, NOW - 2, NOW - 1, NOW]);
  expect(asked()).toHaveLength(2);
  await pass(20);
  expect(state().problem).toMatchObject({ code: "unreachable" });
  status = 200;
  served = minutes(NOW - 3, NOW + 2);
  await pass(2000);
  expect(shown()).toEqual([NOW - 3, NOW - 2, NOW - 1, NOW, NOW + 1, NOW + 2]);
  expect(state().problem).toBeNull();
});

test("a minute that the gateway itself lacks is no seam, and is requested once", async () => {
  served = minutes(NOW - 499, NOW);
  await live();
  served = [...served.slice(0, -1), candle(NOW, {}), candle(NOW + 2, { closed: false })];
  await say(candle(NOW, {}), candle(NOW + 2, { closed: false }));
  await pass(20);
  expect(shown().slice(-3)).toEqual([NOW - 1, NOW, NOW + 2]);
  await pass(30_000);
  expect(asked()).toHaveLength(2);
});

test("a closed candle that did not come is requested some seconds later", async () => {
  served = minutes(NOW - 499, NOW);
  await live();
  served = minutes(NOW - 3, NOW + 1);
  const speak = async (seconds: number) => {
    for (let second = 0; second < seconds; second += 1) {
      await say(candle(NOW + 1, { closed: false, lastSeq: 9000 + second }));
      await pass(1000);
    }
  };
  await speak(8);
  expect(asked()).toHaveLength(1);
  await speak(4);
  expect(asked()).toHaveLength(2);
  expect(state().candles.at(-2)).toMatchObject({ start: NOW * MINUTE_MS, closed: true });
});

test("a candle that stays open at the gateway is requested a few times only", async () => {
  served = minutes(NOW - 499, NOW);
  await live();
  served = [...minutes(NOW - 3, NOW), candle(NOW + 1, { closed: false })];
  await say(candle(NOW + 1, { closed: false }));
  for (let second = 0; second < 300; second += 1) {
    newest().beat();
    await pass(1000);
  }
  expect(asked()).toHaveLength(5);
});

test("candles go stale with silence, and are offline with the gateway; none is lost", async () => {
  await live();
  for (let second = 0; second < 12; second += 1) {
    newest().beat();
    await pass(1000);
  }
  expect(state().status).toBe("stale");
  await say(candle(NOW, { closed: false, lastSeq: 6000 }));
  expect(state().status).toBe("live");
  rest.answer = () => null;
  newest().fail();
  await pass(6000);
  expect(state()).toMatchObject({ status: "stale", problem: { code: "unreachable" } });
  await pass(40_000);
  expect(state()).toMatchObject({ status: "offline", problem: { code: "unreachable" } });
  expect(shown()).toEqual([NOW - 3, NOW - 2, NOW - 1, NOW]);
});

test("an old last candle of a gateway whose candles have stopped is never live", async () => {
  store().subscribe(() => {});
  await pass(20);
  newest().connect();
  await pass(40);
  await say(candle(NOW, { closed: false }));
  for (let second = 0; second < 6; second += 1) {
    expect(state().status).toBe("loading");
    await pass(700);
  }
  expect(state().status).toBe("stale");
});

test("without a stream candles come by REST, less and less often", async () => {
  served = minutes(NOW - 499, NOW);
  store().subscribe(() => {});
  await pass(1100);
  expect(shown()).toHaveLength(500);
  expect(state().status).toBe("loading");
  await pass(5000);
  expect(state().status).toBe("stale");
  await pass(120_000);
  expect(asked().length).toBeGreaterThan(5);
  expect(asked().length).toBeLessThan(20);
  expect(
    asked()
      .slice(1)
      .every((url) => Number(url.split("limit=")[1]) < 10),
  ).toBe(true);
});

test.each([404, 422, 501, 503])("an answer with status %d is told as the problem", async (told) => {
  status = told;
  store().subscribe(() => {});
  await pass(20);
  newest().connect();
  await pass(40);
  expect(state()).toMatchObject({ candles: [], status: "unavailable", problem: { message: `no candles: ${told}` } });
  expect(client.connection.getSnapshot().status).toBe("live");
});

test("a symbol of which no candle comes says so after some seconds, until one comes", async () => {
  served = [];
  store().subscribe(() => {});
  await pass(20);
  newest().connect();
  await pass(5000);
  expect(state().status).toBe("loading");
  await pass(6000);
  expect(state()).toMatchObject({ candles: [], status: "unavailable", problem: null });
  await say(candle(NOW, { closed: false }), candle(NOW, { closed: false, lastSeq: 5000 }));
  expect(state().status).toBe("live");
});

test("an unknown symbol has no candles, and says so", async () => {
  rest.answer = () => unknownSymbols({ "DOGGE-USDT": ["DOGE-USDT"] });
  store("DOGGE").subscribe(() => {});
  await pass(1);
  newest().fail("refused");
  await pass(40);
  const { status, problem } = store("DOGGE").getSnapshot();
  expect({ status, problem }).toMatchObject({
    status: "unavailable",
    problem: { code: "unknown_symbol", suggestions: ["DOGE-USDT"] },
  });
  await pass(60_000);
  expect(asked()).toHaveLength(0);
});

test.each([
  ["not a symbol!", "1m"],
  ["BTC", "7m"],
])("%s in %s is refused without a request", async (symbol, interval) => {
  const refused = candlesOf(client, symbol, interval as "1m");
  refused.subscribe(() => {});
  await pass(2000);
  expect(refused.getSnapshot()).toMatchObject({ status: "unavailable", problem: { code: "unknown_symbol" } });
  expect(FakeEventSource.sources).toHaveLength(0);
  expect(rest.asked).toHaveLength(0);
});

test("a listener that comes back gets what is known at once, not as live, and what it lacks", async () => {
  const end = await live();
  end();
  expect(state().status).toBe("loading");
  await pass(2 * MINUTE_MS);
  expect(vi.getTimerCount()).toBe(0);
  served = minutes(NOW - 3, NOW + 2);
  store().subscribe(() => {});
  expect(shown()).toEqual([NOW - 3, NOW - 2, NOW - 1, NOW]);
  await pass(20);
  newest().connect();
  await pass(40);
  expect(shown()).toEqual([NOW - 3, NOW - 2, NOW - 1, NOW, NOW + 1, NOW + 2]);
  expect(asked()).toHaveLength(2);
});

test("a symbol whose quote changes starts anew, without the candles of the other one", async () => {
  await live();
  newest().fail();
  await pass(2000);
  served = minutes(NOW - 1, NOW, { symbol: "BTC-USD" });
  newest().say({ type: "connected", data: connected(["BTC-USD"]) });
  await pass(40);
  await say(candle(NOW, { symbol: "BTC-USD", closed: false, lastSeq: 7000 }));
  expect(shown()).toEqual([NOW - 1, NOW]);
  expect(state().candles.at(-1)).toMatchObject({ symbol: "BTC-USD", lastSeq: 7000 });
});

test("if the gateway gets past candles only later, they are requested again, a few times soon and then every ten minutes", async () => {
  served = [];
  await live();
  expect(shown()).toEqual([NOW]);
  served = minutes(NOW - 100, NOW, { lastSeq: 5000 });
  for (let second = 0; second < 200; second += 1) {
    newest().beat();
    await pass(1000);
    if (second === 5) expect(shown()).toHaveLength(101);
  }
  const all = () => asked().filter((url) => url.endsWith("=500"));
  expect(all()).toHaveLength(5);
  served = minutes(NOW - 400, NOW, { lastSeq: 5000 });
  for (let second = 0; second < 700; second += 1) {
    newest().beat();
    await pass(1000);
  }
  expect(all()).toHaveLength(6);
  expect(shown()).toHaveLength(401);
});

test("at most as many candles as wanted are kept, and what they missed is told", async () => {
  served = minutes(NOW - 30, NOW, { missed: 2 });
  store("BTC", 10).subscribe(() => {});
  await pass(20);
  newest().connect();
  await pass(40);
  for (let minute = 0; minute < 20; minute += 1)
    await say(candle(NOW + minute, {}), candle(NOW + minute + 1, { closed: false }));
  const { candles, missed } = store("BTC", 10).getSnapshot();
  expect(candles).toHaveLength(10);
  expect(candles.at(-1)?.start).toBe((NOW + 20) * MINUTE_MS);
  expect(missed).toBe(0);
  served = minutes(NOW, NOW + 20, { missed: 2, revision: 1 });
  newest().say({ type: "resync", data: { reason: "lost" } });
  await pass(40);
  expect(store("BTC", 10).getSnapshot().missed).toBeGreaterThan(0);
});

test.each([
  ["another interval", { interval: "1h" as const }],
  ["an exchange", { exchange: "okx" }],
  ["no price", { close: null as unknown as number }],
  ["a start after its end", { start: NOW * MINUTE_MS + 1e9 }],
])("a candle of %s is left out", async (_, more) => {
  await live();
  const before = state();
  await say(candle(NOW + 1, { closed: false, ...more }));
  expect(state()).toBe(before);
});
