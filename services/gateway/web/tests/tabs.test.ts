import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { candlesOf } from "../src/candles.ts";
import { createRealtimeClient } from "../src/client.ts";
import type { Field, RealtimeClient, Wish } from "../src/types.ts";
import { candle, connected, FakeEventSource, fakeBrowser, MINUTE_MS, pass, unknownSymbols } from "./fakes.ts";

type Waiting = { start: () => void };

/** Fake Web Locks among the tabs of one test: a queue per name, with stealing and aborting. */
class FakeLocks {
  private readonly held = new Map<string, { reject: (why: Error) => void }>();
  private readonly queues = new Map<string, Waiting[]>();

  request = (name: string, options: { signal?: AbortSignal; steal?: boolean }, use: () => unknown): Promise<unknown> =>
    new Promise((resolve, reject) => {
      const queue = this.queues.get(name) ?? [];
      this.queues.set(name, queue);
      const holder = { reject };
      const start = () => {
        this.held.set(name, holder);
        Promise.resolve(use()).then((value) => {
          if (this.held.get(name) !== holder) return;
          this.held.delete(name);
          resolve(value);
          queue.shift()?.start();
        });
      };
      if (options.steal) {
        this.held.get(name)?.reject(new DOMException("stolen", "AbortError"));
        return queueMicrotask(start);
      }
      const waiting = { start };
      options.signal?.addEventListener("abort", () => {
        const place = queue.indexOf(waiting);
        if (place < 0) return;
        queue.splice(place, 1);
        reject(new DOMException("aborted", "AbortError"));
      });
      if (this.held.has(name)) queue.push(waiting);
      else {
        this.held.set(name, holder);
        queueMicrotask(start);
      }
    });
}

/** A fake BroadcastChannel among the tabs of one test. A frozen one neither receives nor sends anything. */
class FakeChannel {
  static channels: FakeChannel[] = [];
  static frozen = new Set<FakeChannel>();
  onmessage: ((event: { data: unknown }) => void) | null = null;

  constructor(readonly name: string) {
    FakeChannel.channels.push(this);
  }

  postMessage(data: unknown) {
    if (FakeChannel.frozen.has(this)) return;
    const copy = JSON.stringify(data);
    for (const other of FakeChannel.channels)
      if (other !== this && other.name === this.name && !FakeChannel.frozen.has(other))
        queueMicrotask(() => other.onmessage?.({ data: JSON.parse(copy) }));
  }

  close() {
    FakeChannel.channels = FakeChannel.channels.filter((channel) => channel !== this);
  }
}

let tabs: RealtimeClient[];

beforeEach(() => {
  fakeBrowser();
  FakeChannel.channels = [];
  FakeChannel.frozen.clear();
  Object.defineProperty(navigator, "locks", { value: new FakeLocks(), configurable: true });
  vi.stubGlobal("BroadcastChannel", FakeChannel);
  tabs = [createRealtimeClient(), createRealtimeClient(), createRealtimeClient()];
});

afterEach(() => {
  for (const tab of tabs) tab.close();
  Reflect.deleteProperty(navigator, "locks");
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

function tab(number: number): RealtimeClient {
  const found = tabs[number];
  if (!found) throw new Error(`no tab ${number}`);
  return found;
}

const state = (number: number, symbol: string) => tab(number).symbol(symbol).getSnapshot();
const listen = (number: number, symbol: string) =>
  tab(number)
    .symbol(symbol)
    .subscribe(() => {});

test("three tabs share one stream of all their symbols, and all of them are live", async () => {
  listen(0, "BTC");
  await pass(50);
  listen(1, "BTC");
  listen(2, "ETH");
  await pass(50);
  expect(FakeEventSource.open.length).toBeLessThanOrEqual(2); // the old stream stays open until the new one delivers
  FakeEventSource.newest.connect();
  expect(FakeEventSource.open.map((source) => source.symbols)).toEqual([["BTC-USDT", "ETH-USDT"]]);
  FakeEventSource.newest.tick("BTC-USDT", 5, { price: 70000 });
  FakeEventSource.newest.tick("ETH-USDT", 6);
  await pass(50);
  expect(state(0, "BTC")).toMatchObject({ isConnected: true, ticker: { price: 70000 } });
  expect(state(1, "BTC")).toMatchObject({ isConnected: true, ticker: { price: 70000 } });
  expect(state(2, "ETH")).toMatchObject({ isConnected: true, ticker: { seq: 6 } });
  expect(state(2, "BTC").latest).toBeNull();
});

test("a tab that joins gets the others' prices at once, with their age", async () => {
  listen(0, "BTC");
  await pass(30);
  FakeEventSource.newest.connect();
  FakeEventSource.newest.tick("BTC-USDT", 5);
  await pass(3000);
  listen(1, "BTC");
  await pass(50);
  expect(FakeEventSource.sources).toHaveLength(1);
  expect(state(1, "BTC")).toMatchObject({ isConnected: true, ticker: { seq: 5 }, heardAt: state(0, "BTC").heardAt });
  await pass(3000);
  expect([state(0, "BTC").status, state(1, "BTC").status]).toEqual(["stale", "stale"]);
});

test("when the tab with the stream closes, the next tab opens one", async () => {
  listen(0, "BTC");
  await pass(30);
  FakeEventSource.newest.connect();
  listen(1, "ETH");
  listen(2, "ETH");
  await pass(50);
  tab(0).close();
  await pass(50);
  expect(FakeEventSource.open.map((source) => source.symbols)).toEqual([["ETH-USDT"]]);
  FakeEventSource.newest.connect();
  FakeEventSource.newest.tick("ETH-USDT", 9);
  await pass(50);
  expect([state(1, "ETH").isConnected, state(2, "ETH").isConnected]).toEqual([true, true]);
});

test("the symbols of a closed tab are dropped", async () => {
  listen(0, "BTC");
  await pass(50);
  listen(1, "ETH");
  await pass(50);
  tab(1).close();
  await pass(6000);
  expect(FakeEventSource.newest.symbols).toEqual(["BTC-USDT"]);
});

test("the stream carries the fields that any tab asks for, at the highest rate, until that tab closes", async () => {
  const ask = (number: number, wish: Wish<Field>) =>
    tab(number)
      .symbol("BTC", wish)
      .subscribe(() => {});
  ask(0, { fields: ["dp"], maxHz: 1 });
  await pass(50);
  const [first] = FakeEventSource.open;
  first?.connect();
  ask(1, { fields: ["bid"], maxHz: 10 });
  ask(2, { fields: ["ask"], maxHz: 2 });
  await pass(50);
  expect(FakeEventSource.newest).toMatchObject({ fields: ["ask", "bid", "dp", "price"], maxHz: 10 });
  expect(first?.closed).toBe(false);
  FakeEventSource.newest.connect();
  FakeEventSource.newest.tick("BTC-USDT", 5);
  await pass(50);
  expect(
    tab(2)
      .symbol("BTC", { fields: ["ask"], maxHz: 2 })
      .getSnapshot(),
  ).toMatchObject({ status: "live", ticker: { ask: 64001 } });
  tab(1).close();
  await pass(6000);
  expect(FakeEventSource.newest).toMatchObject({ fields: ["ask", "dp", "price"], maxHz: 2 });
});

test("a tab put to sleep with the stream is robbed, and waits its turn when it wakes", async () => {
  listen(0, "BTC");
  await pass(30);
  const asleep = FakeEventSource.newest;
  asleep.connect();
  asleep.tick("BTC-USDT", 5);
  listen(1, "BTC");
  await pass(50);
  const [sleeper] = FakeChannel.channels;
  if (sleeper) FakeChannel.frozen.add(sleeper);
  await pass(6000);
  expect(state(1, "BTC").isConnected).toBe(false);
  await pass(6000);
  const taken = FakeEventSource.newest;
  expect(taken).not.toBe(asleep);
  taken.connect();
  taken.tick("BTC-USDT", 9);
  await pass(50);
  expect(state(1, "BTC")).toMatchObject({ isConnected: true, ticker: { seq: 9 } });
  FakeChannel.frozen.clear();
  expect(asleep.closed).toBe(true);
  taken.tick("BTC-USDT", 10);
  await pass(50);
  expect(state(0, "BTC")).toMatchObject({ isConnected: true, ticker: { seq: 10 } });
  expect(FakeEventSource.open).toHaveLength(1);
});

test.each([
  ["that waits to try again", true],
  ["that awaits an answer", false],
])("the news of a robbed tab %s is dropped", async (_, isWaiting) => {
  listen(0, "BTC");
  await pass(50);
  FakeEventSource.newest.connect();
  FakeEventSource.newest.tick("BTC-USDT", 5);
  listen(1, "BTC");
  await pass(50);
  const before = globalThis.fetch;
  let answer = () => {};
  const busy = new Response('{"code":"busy","detail":"busy"}', { status: 503, headers: { "Retry-After": "40" } });
  vi.stubGlobal(
    "fetch",
    () =>
      new Promise((resolve, reject) => (answer = () => (isWaiting ? resolve(busy) : reject(new TypeError("network error"))))),
  );
  FakeEventSource.newest.fail("refused");
  if (isWaiting) answer();
  await pass(10);
  vi.stubGlobal("fetch", before);
  const [sleeper] = FakeChannel.channels;
  if (sleeper) FakeChannel.frozen.add(sleeper);
  for (let second = 0; second < 14; second += 1) {
    await pass(1000);
    for (const source of FakeEventSource.open) source.fail();
  }
  FakeChannel.frozen.clear();
  for (let second = 0; second < 60; second += 1) {
    const [source] = FakeEventSource.open;
    if (source?.readyState === FakeEventSource.CONNECTING) source.connect();
    source?.tick("BTC-USDT", 10 + second);
    await pass(1000);
    if (second === 10) answer(); // long after the tab was robbed
  }
  expect([state(0, "BTC").status, state(1, "BTC").status]).toEqual(["live", "live"]);
});

test("a tab that becomes visible does not wait long for a sleeping holder", async () => {
  listen(0, "BTC");
  await pass(50);
  const asleep = FakeEventSource.newest;
  asleep.connect();
  listen(1, "BTC");
  await pass(50);
  const [sleeper] = FakeChannel.channels;
  if (sleeper) FakeChannel.frozen.add(sleeper);
  document.dispatchEvent(new Event("visibilitychange"));
  await pass(5000);
  expect(FakeEventSource.newest).not.toBe(asleep);
});

test("if channels are forbidden, each tab has a stream of its own", async () => {
  vi.stubGlobal(
    "BroadcastChannel",
    class {
      constructor() {
        throw new DOMException("no cookies", "SecurityError");
      }
    },
  );
  tabs.push(createRealtimeClient());
  listen(3, "BTC");
  await pass(50);
  expect(FakeEventSource.open).toHaveLength(1);
});

test("many tabs that open at once open few streams", async () => {
  for (let number = 0; number < 3; number += 1) listen(number, ["BTC", "ETH", "SOL"][number] ?? "BNB");
  await pass(100);
  expect(FakeEventSource.sources.length).toBeLessThanOrEqual(2);
  expect(FakeEventSource.newest.symbols).toEqual(["BTC-USDT", "ETH-USDT", "SOL-USDT"]);
});

test("a tab whose symbols do not fit beside the others' opens its own stream, and leaves theirs alone", async () => {
  const many = (letter: string) => Array.from({ length: 60 }, (_, number) => `${letter}${number}`);
  const speak = async () => {
    for (const source of FakeEventSource.open) source.connect();
    for (const source of FakeEventSource.open) for (const symbol of source.symbols) source.tick(symbol, 2);
    await pass(50);
  };
  const streams = () => FakeEventSource.open.map((source) => source.symbols.length).sort();
  for (const symbol of many("B")) listen(0, symbol);
  await pass(50);
  await speak();
  for (const symbol of many("A")) listen(1, symbol);
  await pass(100);
  await speak();
  expect(new Set(many("B").map((symbol) => state(0, symbol).status))).toEqual(new Set(["live"]));
  expect(new Set(many("A").map((symbol) => state(1, symbol).status))).toEqual(new Set(["live"]));
  await pass(6000); // the shared stream is not changed at once, because it may be wanted again
  await speak();
  expect(streams()).toEqual([60, 60]);
  listen(2, "A1"); // a symbol that fits
  await pass(100);
  await speak();
  expect(state(2, "A1").status).toBe("live");
  expect(streams()).toEqual([60, 61]);
  tab(1).close();
  await pass(100);
  expect(streams()).toEqual([61]);
});

test("a quiet stream is no reason to rob the tab that has it", async () => {
  listen(0, "BTC");
  await pass(30);
  FakeEventSource.newest.connect(60_000);
  listen(1, "BTC");
  await pass(60_000);
  expect(FakeEventSource.sources).toHaveLength(1);
});

test("each tab that wants an unknown symbol gets the error", async () => {
  vi.stubGlobal("fetch", async () => {
    const { status, body } = unknownSymbols({ "DOGGE-USDT": ["DOGE-USDT"] });
    return new Response(JSON.stringify(body), { status: status ?? 404 });
  });
  listen(0, "DOGGE");
  await pass(50);
  listen(1, "DOGGE");
  await pass(50);
  expect([state(0, "DOGGE").error?.code, state(1, "DOGGE").error?.code]).toEqual(["unknown_symbol", "unknown_symbol"]);
});

test("reconnect in a tab without the stream reaches the one that has it", async () => {
  listen(0, "BTC");
  await pass(30);
  FakeEventSource.newest.connect();
  listen(1, "BTC");
  await pass(50);
  tab(1).reconnect();
  await pass(50);
  expect(FakeEventSource.sources).toHaveLength(2);
});

test("a frame that may not have locks has a stream of its own", async () => {
  const refuse = () => Promise.reject(new DOMException("sandboxed", "SecurityError"));
  Object.defineProperty(navigator, "locks", { value: { request: refuse }, configurable: true });
  tabs.push(createRealtimeClient());
  listen(3, "BTC");
  await pass(50);
  FakeEventSource.newest.connect();
  FakeEventSource.newest.tick("BTC-USDT", 5);
  await pass(50);
  expect(state(3, "BTC").isConnected).toBe(true);
});

test("a tab that joins gets the price of a symbol without a quote, also from a tab that held the stream before", async () => {
  const [one, , three] = tabs as [RealtimeClient, RealtimeClient, RealtimeClient];
  const rejoin = async () => {
    const ends = [one.symbol("BTC").subscribe(() => {}), three.symbol("BTC").subscribe(() => {})];
    await pass(50);
    FakeEventSource.newest.say({ type: "connected", data: connected(["BTC-USD"]) });
    FakeEventSource.newest.tick("BTC-USD", 1);
    await pass(50);
    expect([one, three].map((tab) => tab.symbol("BTC").getSnapshot().ticker?.symbol)).toEqual(["BTC-USD", "BTC-USD"]);
    for (const end of ends) end();
    await pass(50);
  };
  await rejoin();
  await rejoin();
});

test("a tab with another key does not depend on a tab whose key may be void", async () => {
  listen(0, "BTC");
  await pass(50);
  tabs.push(createRealtimeClient({ apiKey: "new" }));
  listen(3, "BTC");
  await pass(50);
  expect(FakeEventSource.open).toHaveLength(2);
});

test("tabs that share locks but no channel have a stream each, and do not rob each other for ever", async () => {
  vi.spyOn(FakeChannel.prototype, "postMessage").mockImplementation(() => {});
  listen(0, "BTC");
  await pass(50);
  listen(1, "ETH");
  for (let second = 0; second < 120; second += 1) {
    for (const source of FakeEventSource.open) {
      if (source.readyState === FakeEventSource.CONNECTING) source.connect();
      for (const symbol of source.symbols) source.tick(symbol, 10 + second);
    }
    await pass(1000);
    if (second > 60) expect([state(0, "BTC").status, state(1, "ETH").status]).toEqual(["live", "live"]);
  }
  expect(FakeEventSource.open).toHaveLength(2);
});

test("a tab whose lock requests are never granted has a stream of its own", async () => {
  Object.defineProperty(navigator, "locks", { value: { request: () => new Promise(() => {}) }, configurable: true });
  tabs.push(createRealtimeClient());
  listen(3, "BTC");
  await pass(25_000);
  FakeEventSource.newest.connect();
  FakeEventSource.newest.tick("BTC-USDT", 5);
  await pass(50);
  expect(state(3, "BTC").isConnected).toBe(true);
});

test("a tab that joins learns that a symbol has no room, and its old price", async () => {
  listen(0, "DOGE");
  await pass(50);
  const source = FakeEventSource.newest;
  source.connect();
  source.tick("DOGE-USDT", 5);
  source.say({ type: "room", data: { symbol: "DOGE-USDT", room: false, detail: "okx is full" } });
  source.tick("DOGE-USDT", 6, { quality: "stale" });
  await pass(50);
  listen(1, "DOGE");
  await pass(50);
  expect(state(1, "DOGE")).toMatchObject({ isConnected: false, ticker: { seq: 6 }, error: { code: "no_room" } });
});

test("simulated prices stay marked as simulated while another tab takes over the stream", async () => {
  listen(0, "BTC");
  await pass(50);
  const { symbols } = FakeEventSource.newest;
  FakeEventSource.newest.say({ type: "connected", data: connected(symbols, { simulated: true }) });
  FakeEventSource.newest.tick("BTC-USDT", 5);
  listen(1, "BTC");
  await pass(50);
  expect(tab(1).connection.getSnapshot().simulated).toBe(true);
  tab(0).close();
  await pass(50);
  expect(tab(1).connection.getSnapshot().simulated).toBe(true);
});

test("tabs share the stream and the requests of candles, and each has all that it wants", async () => {
  const asked: string[] = [];
  const minute = Math.floor(1_700_000_000_000 / MINUTE_MS);
  const past = 300;
  vi.stubGlobal("fetch", async (url: string) => {
    const limit = Number(new URL(url, "http://here").searchParams.get("limit"));
    if (url.includes("/api/candles")) asked.push(url);
    await new Promise((resolve) => setTimeout(resolve, 5));
    const all = Array.from({ length: past }, (_, at) => candle(minute - past + 1 + at, { closed: at < past - 1 }));
    return new Response(JSON.stringify({ symbol: "BTC-USDT", interval: "1m", exchange: null, candles: all.slice(-limit) }));
  });
  const of = (number: number, limit: number) => candlesOf(tab(number), "BTC", "1m", { limit });
  of(0, 300).subscribe(() => {});
  await pass(50);
  FakeEventSource.newest.connect();
  await pass(50);
  of(1, 300).subscribe(() => {});
  await pass(100);
  expect(asked).toHaveLength(2);
  expect(FakeEventSource.open).toHaveLength(1);
  // After an interruption each tab lacks the same candles: they are requested once for all.
  FakeEventSource.newest.fail();
  await pass(3000);
  asked.length = 0;
  FakeEventSource.newest.connect();
  await pass(100);
  expect(asked).toEqual(["/api/candles/BTC?interval=1m&limit=5"]);
  for (const lastSeq of [7000, 8000])
    FakeEventSource.newest.say({ type: "candle", data: candle(minute, { closed: false, lastSeq }) });
  await pass(50);
  expect([of(0, 300), of(1, 300)].map((store) => store.getSnapshot().candles.length)).toEqual([300, 300]);
  expect([of(0, 300), of(1, 300)].map((store) => store.getSnapshot().status)).toEqual(["live", "live"]);
});

test("a tab that hears a short answer of another tab requests the candles that it lacks itself", async () => {
  const minute = Math.floor(1_700_000_000_000 / MINUTE_MS);
  vi.stubGlobal("fetch", async (url: string) => {
    const limit = Number(new URL(url, "http://here").searchParams.get("limit"));
    const all = Array.from({ length: 300 }, (_, at) => candle(minute - 299 + at, { closed: at < 299 }));
    await new Promise((resolve) => setTimeout(resolve, limit > 100 ? 500 : 5)); // the long answer comes last
    return new Response(JSON.stringify({ symbol: "BTC-USDT", interval: "1m", exchange: null, candles: all.slice(-limit) }));
  });
  const of = (number: number, limit: number) => candlesOf(tab(number), "BTC", "1m", { limit });
  of(0, 300).subscribe(() => {});
  of(1, 5).subscribe(() => {});
  await pass(50);
  FakeEventSource.newest.connect();
  await pass(300);
  expect(of(0, 300).getSnapshot().candles).toEqual([]);
  expect(of(1, 5).getSnapshot().candles).toHaveLength(5);
  await pass(3000);
  expect(of(0, 300).getSnapshot().candles).toHaveLength(300);
});
