import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { createRealtimeClient, normalizeSymbol, realtimeClient, tickerAge } from "../src/client.ts";
import type { FeedStatus, Field, RealtimeClient, SymbolState, Wish } from "../src/types.ts";
import {
  connected,
  FakeEventSource,
  type FakeRest,
  fakeBrowser,
  type Members,
  message,
  pass,
  unknownSymbols,
} from "./fakes.ts";

let rest: FakeRest;
let client: RealtimeClient;

beforeEach(() => {
  rest = fakeBrowser();
  client = createRealtimeClient();
});

afterEach(() => {
  client.close();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const state = (symbol: string): SymbolState => client.symbol(symbol).getSnapshot();
const listen = (symbol: string, listener = () => {}) => client.symbol(symbol).subscribe(listener);

/** Listen to these symbols on an open stream. Each has received one live price. */
async function live(...symbols: string[]): Promise<FakeEventSource> {
  for (const symbol of symbols) listen(symbol);
  await pass(1);
  const source = FakeEventSource.newest;
  source.connect();
  for (const symbol of source.symbols) source.tick(symbol, 2);
  await pass(20);
  return source;
}

function hide(hidden: boolean) {
  vi.spyOn(document, "hidden", "get").mockReturnValue(hidden);
  document.dispatchEvent(new Event("visibilitychange"));
}

function statusOf(exchange: string, simulated = false): FeedStatus {
  const { receivedTime } = message("BTC-USDT", 1);
  const times = { since: receivedTime ?? 0, lastTickTime: receivedTime };
  const copies = { instance: "i", instances: 1, others: [] };
  return { v: 1, exchange, state: "connected", reason: null, symbols: 4, reconnects: 0, simulated, ...times, ...copies };
}

test.each([
  ["btc", "BTC"],
  ["btc-usd", "BTC-USD"],
  [" eth-btc ", "ETH-BTC"],
  ["", null],
  ["BTC/USDT", null],
  ["a-b-c", null],
  [`${"A".repeat(33)}-USDT`, null],
])("the symbol %j is %j", (text, symbol) => {
  expect(normalizeSymbol(text)).toBe(symbol);
});

describe("a gateway that wants a key", () => {
  test("receives it in the URL of a stream, and in a header of other requests", async () => {
    client.close();
    client = createRealtimeClient({ apiKey: "a-key/of=mine" });
    await live("BTC");
    expect(FakeEventSource.newest.url).toMatch(
      /^\/api\/realtime\?symbols=BTC&fields=[\w%]+&max_hz=4&api_key=a-key%2Fof%3Dmine$/,
    );
    expect(rest.asked).toEqual([expect.stringMatching(/^\/api\/ticker\?symbols=BTC&fields=[\w%]+$/)]);
    expect(rest.keys).toEqual(["a-key/of=mine"]);
  });

  test("answers a client without a key with an error that says so", async () => {
    const body = { code: "api_key_needed", detail: "this gateway wants an API key of its own" };
    rest.answer = () => ({ status: 401, body });
    listen("BTC");
    await pass(1);
    FakeEventSource.newest.fail("refused");
    await pass(20);
    expect(rest.keys).toEqual([undefined, undefined]);
    expect(state("BTC").error).toEqual({ code: "unauthorized", message: body.detail });
  });
});

describe("one stream for all", () => {
  test("the first price comes by REST, and live ones by one stream for every symbol and listener", async () => {
    for (const symbol of ["BTC", "btc", "ETH", "SOL"]) listen(symbol);
    expect(state("BTC").status).toBe("connecting");
    await pass(20);
    expect(FakeEventSource.sources.map((source) => source.symbols)).toEqual([["BTC-USDT", "ETH-USDT", "SOL-USDT"]]);
    expect(rest.asked).toEqual([expect.stringContaining("/api/ticker?symbols=BTC%2CETH%2CSOL&")]);
    expect(state("BTC")).toMatchObject({ status: "connecting", isConnected: false, ticker: { price: 64000.5, seq: 1 } });
    FakeEventSource.newest.connect();
    FakeEventSource.newest.tick("BTC-USDT", 2, { price: 65000 });
    await pass(20);
    expect(state("BTC")).toMatchObject({ status: "live", isConnected: true, error: null, ticker: { price: 65000, seq: 2 } });
  });

  test("a remount within one turn, as Strict Mode does it, keeps the stream", async () => {
    const end = listen("BTC");
    end();
    listen("BTC");
    await pass(20);
    expect(FakeEventSource.sources).toHaveLength(1);
    const again = listen("BTC");
    again();
    await pass(20);
    expect(FakeEventSource.open).toHaveLength(1);
  });

  test("a sole listener that leaves and comes back in the same turn is live as before", async () => {
    const end = listen("BTC");
    await pass(1);
    FakeEventSource.newest.connect();
    end();
    listen("BTC");
    FakeEventSource.newest.tick("BTC-USDT", 2);
    await pass(20);
    expect(FakeEventSource.sources).toHaveLength(1);
    expect(state("BTC").status).toBe("live");
  });

  test("a page that has loaded opens one stream and polls once", async () => {
    listen("BTC");
    await pass(1);
    globalThis.dispatchEvent(new Event("pageshow")); // browsers fire it after every load
    await pass(20);
    expect(FakeEventSource.sources).toHaveLength(1);
    expect(rest.asked).toHaveLength(1);
  });

  test("the stream closes when the last listener leaves, and no timer is left", async () => {
    const end = listen("BTC");
    await pass(1);
    FakeEventSource.newest.connect();
    end();
    end();
    await pass(20);
    expect(FakeEventSource.open).toHaveLength(0);
    expect(state("BTC").status).toBe("idle");
    expect(vi.getTimerCount()).toBe(0);
  });

  test("a change of symbols opens the new stream before the old one closes", async () => {
    const first = await live("BTC");
    listen("ETH");
    listen("SOL");
    await pass(1);
    const second = FakeEventSource.newest;
    expect(second.symbols).toEqual(["BTC-USDT", "ETH-USDT", "SOL-USDT"]);
    expect(first.closed).toBe(false);
    first.tick("BTC-USDT", 3, { price: 66000 });
    await pass(20);
    expect(state("BTC")).toMatchObject({ isConnected: true, ticker: { price: 66000 } });
    second.connect();
    expect(first.closed).toBe(true);
    expect(FakeEventSource.open).toEqual([second]);
  });

  test("a tick calls only the listeners of its symbol, once per frame", async () => {
    const [onBtc, onEth] = [vi.fn(), vi.fn()];
    listen("BTC", onBtc);
    listen("ETH", onEth);
    const source = await live("BTC", "ETH");
    onBtc.mockClear();
    onEth.mockClear();
    for (let seq = 3; seq < 50; seq += 1) source.tick("BTC-USDT", seq);
    await pass(20);
    expect(onBtc).toHaveBeenCalledTimes(1);
    expect(onEth).not.toHaveBeenCalled();
    expect(state("BTC").ticker?.seq).toBe(49);
  });

  test("the page's parts share one client for each gateway", () => {
    expect(realtimeClient()).toBe(realtimeClient(""));
    expect(realtimeClient("https://prices.example")).not.toBe(realtimeClient());
  });

  test("symbols beyond the limit of a stream get an error, and the others stream", async () => {
    for (let number = 0; number < 103; number += 1) listen(`C${String(number).padStart(3, "0")}`);
    await pass(20);
    expect(FakeEventSource.newest.symbols).toHaveLength(100);
    expect(state("C102")).toMatchObject({ status: "offline", error: { code: "too_many_symbols" } });
    expect(state("C099").error).toBeNull();
  });
});

describe("a symbol without a quote", () => {
  const pricesOf = (names: readonly string[]) => names.map((name) => state(name).ticker?.symbol ?? null);

  test("is asked for as it is written, and is what the gateway makes of it", async () => {
    const names = ["BTC", "ETH-EUR", "SOL"];
    rest.answer = () => null;
    for (const name of names) listen(name);
    await pass(20);
    const source = FakeEventSource.newest;
    expect(new URL(source.url, "http://here").searchParams.get("symbols")).toBe("BTC,ETH-EUR,SOL");
    source.say({ type: "connected", data: connected(["BTC-USD", "ETH-EUR", "SOL-USD"]) });
    for (const symbol of ["BTC-USD", "BTC-EUR", "ETH-EUR", "ETH-USD", "SOL-USD"]) source.tick(symbol, 2);
    await pass(20);
    expect(pricesOf(names)).toEqual(["BTC-USD", "ETH-EUR", "SOL-USD"]);
    expect(state("BTC").status).toBe("live");
  });

  test("has a price by REST before a stream has told the quote", async () => {
    rest.answer = () => ({ body: { tickers: [message("ETH-USD", 1)], missing: ["BTC-USD"] } });
    for (const name of ["BTC", "ETH"]) listen(name);
    await pass(20);
    expect(pricesOf(["BTC", "ETH"])).toEqual([null, "ETH-USD"]);
  });

  test.each([
    [["BTC", "BTC-EUR"], ["BTC-USD", "BTC-EUR"], "BTC-USD"],
    [["BTC", "BTC-USD"], ["BTC-USD"], "BTC-USD"],
    [["BTC", "BTC-EUR", "BTC-USD"], ["BTC-USD", "BTC-EUR"], "BTC-USD"],
    [["BTC", "BTC-EUR", "BTC-USD"], ["BTC-EUR", "BTC-USD"], "BTC-EUR"],
  ])("%j beside others is told apart by the answer %j", async (names, told, symbol) => {
    rest.answer = () => null;
    for (const name of names) listen(name);
    await pass(20);
    const source = FakeEventSource.newest;
    source.say({ type: "connected", data: connected(told) });
    for (const one of told) source.tick(one, 2);
    await pass(20);
    expect(pricesOf(names)).toEqual([symbol, ...names.slice(1)]);
  });

  test("has the price of its own quote when the gateway comes back with another default", async () => {
    const source = await live("BTC");
    expect(pricesOf(["BTC"])).toEqual(["BTC-USDT"]);
    source.fail();
    await pass(2000);
    FakeEventSource.newest.say({ type: "connected", data: connected(["BTC-USD"]) });
    FakeEventSource.newest.tick("BTC-USD", 1, { price: 1 });
    await pass(20);
    expect(state("BTC")).toMatchObject({ status: "live", ticker: { symbol: "BTC-USD", price: 1 } });
  });

  test("is refused alone, although the gateway names it in full", async () => {
    rest.answer = (url) =>
      /DOGGE%2C|DOGGE&/.test(url) ? unknownSymbols({ "DOGGE-USDT": ["DOGE-USDT"] }) : { body: { tickers: [], missing: [] } };
    for (const name of ["DOGGE", "DOGGE-EUR"]) listen(name);
    await pass(1);
    FakeEventSource.newest.fail("refused");
    await pass(20);
    expect(state("DOGGE").error).toMatchObject({ code: "unknown_symbol", message: "nobody lists DOGGE-USDT" });
    expect(state("DOGGE-EUR").error).toBeNull();
    expect(FakeEventSource.newest.symbols).toEqual(["DOGGE-EUR"]);
  });

  test("without room gets the error that names it in full", async () => {
    const source = await live("BTC");
    source.say({
      type: "room",
      data: { symbol: "BTC-USDT", room: false, detail: "okx is full", reason: "full", exchanges: [] },
    });
    await pass(20);
    expect(state("BTC").error).toEqual({ code: "no_room", message: "okx is full" });
  });
});

describe("what listeners ask for", () => {
  const store = (wish?: Wish<Field>, symbol = "BTC") => client.symbol(symbol, wish);
  const ask = (wish?: Wish<Field>, symbol = "BTC") => store(wish, symbol).subscribe(() => {});

  /** Let a stream deliver a price of each of its symbols, with just the members that it was asked for. */
  async function deliver(source: FakeEventSource, seq: number) {
    if (source.readyState === FakeEventSource.CONNECTING) source.connect();
    const names = Object.keys(message("", 0)) as Field[];
    const always = ["v", "symbol", "seq", "quality", "aggregatedTime", "receivedTime", "publisher"];
    const others = names.filter((name) => !always.includes(name) && !source.fields.includes(name));
    for (const symbol of source.symbols) source.tick(symbol, seq, Object.fromEntries(others.map((name) => [name, undefined])));
    await pass(300); // also a hidden page has updated then
  }

  test("is everything but the sources four times a second, unless a listener says otherwise", async () => {
    ask();
    await pass(1);
    const { fields, maxHz } = FakeEventSource.newest;
    const always = ["v", "symbol", "seq", "quality", "aggregatedTime", "receivedTime", "publisher"];
    expect([...fields, ...always, "sources"].sort()).toEqual(Object.keys(message("", 0)).sort());
    expect(maxHz).toBe(4);
  });

  test("is carried by one stream: the fields of all, at the highest rate", async () => {
    ask({ fields: ["dp", "bid"], maxHz: 1 });
    ask({ fields: ["sources"], maxHz: 10 });
    ask({ fields: ["dp"], maxHz: 2 }, "ETH");
    await pass(1);
    expect(FakeEventSource.open).toHaveLength(1);
    const { symbols, fields, maxHz } = FakeEventSource.newest;
    expect({ symbols, fields, maxHz }).toEqual({
      symbols: ["BTC-USDT", "ETH-USDT"],
      fields: ["bid", "dp", "price", "sources"],
      maxHz: 10,
    });
    expect(new URL(rest.asked[0] ?? "", "http://here").searchParams.get("fields")).toBe("bid,dp,price,sources");
  });

  test("is the same store each time, and the same state as far as the fields allow", async () => {
    expect(store({ fields: ["dp"], maxHz: 1 })).toBe(store({ fields: ["dp"], maxHz: 1 }));
    expect(store({ fields: ["dp"] })).not.toBe(store({ fields: ["bid"] }));
    ask({ fields: ["dp"] });
    ask({ fields: ["bid"] });
    await pass(1);
    await deliver(FakeEventSource.newest, 2);
    expect(store({ fields: ["dp"] }).getSnapshot()).toBe(store({ fields: ["bid"] }).getSnapshot());
  });

  test.each([
    [0, 0.5],
    [0.5, 0.5],
    [1e9, 1000],
  ])("is at most what keeps a price live, and what the gateway takes: %d is %d", async (maxHz, told) => {
    ask({ maxHz });
    await pass(1);
    expect(FakeEventSource.newest.maxHz).toBe(told);
  });

  test("at the lowest rate a price is live all the time", async () => {
    ask({ fields: [], maxHz: 0 });
    await pass(1);
    for (let seq = 2; seq < 20; seq += 1) {
      await deliver(FakeEventSource.newest, seq);
      await pass(1700);
      expect(store({ fields: [], maxHz: 0 }).getSnapshot().status).toBe("live");
    }
  });

  test.each<[string, Wish<Field>]>([
    ["another field", { fields: ["bid"], maxHz: 1 }],
    ["a higher rate", { fields: ["dp"], maxHz: 2 }],
  ])("is more at once with %s, without a gap", async (_, more) => {
    ask({ fields: ["dp"], maxHz: 1 });
    await pass(1);
    const first = FakeEventSource.newest;
    await deliver(first, 2);
    ask(more);
    await pass(1);
    const second = FakeEventSource.newest;
    expect(second).not.toBe(first);
    await deliver(first, 3);
    expect(first.closed).toBe(false);
    expect(store({ fields: ["dp"], maxHz: 1 }).getSnapshot()).toMatchObject({ status: "live", ticker: { seq: 3 } });
    await deliver(second, 4);
    expect(first.closed).toBe(true);
    expect(store(more).getSnapshot()).toMatchObject({ status: "live", ticker: { seq: 4 } });
  });

  test("is less after some seconds, unless it is wanted again by then", async () => {
    ask({ fields: ["dp"], maxHz: 1 });
    const end = ask({ fields: ["bid"], maxHz: 4 });
    const endEth = ask({ fields: ["dp"], maxHz: 1 }, "ETH");
    await pass(1);
    const first = FakeEventSource.newest;
    await deliver(first, 2);
    end();
    await pass(4000);
    first.beat();
    const endAgain = ask({ fields: ["bid"], maxHz: 4 });
    await pass(4000);
    expect(FakeEventSource.sources).toEqual([first]);
    endAgain();
    endEth();
    first.beat();
    await pass(4000);
    expect(FakeEventSource.sources).toEqual([first]);
    await pass(1100);
    expect(FakeEventSource.newest).toMatchObject({ symbols: ["BTC-USDT"], fields: ["dp", "price"], maxHz: 1 });
    expect(first.closed).toBe(false);
    await deliver(FakeEventSource.newest, 3);
    expect(first.closed).toBe(true);
  });

  test("is more at once while less is still to come", async () => {
    ask({ fields: ["dp"] });
    const end = ask({ fields: ["bid"] });
    await pass(1);
    await deliver(FakeEventSource.newest, 2);
    end();
    await pass(100);
    ask({ fields: ["ask"] });
    await pass(1);
    expect(FakeEventSource.newest.fields).toEqual(["ask", "dp", "price"]);
    await deliver(FakeEventSource.newest, 3);
    await pass(10_000);
    expect(FakeEventSource.sources).toHaveLength(2);
  });

  test("a stream of more than is wanted that fails is followed by one of less, after its delay", async () => {
    ask({ fields: ["dp"] });
    const end = ask({ fields: ["bid"] });
    await pass(1);
    rest.answer = () => ({ status: 503, headers: { "Retry-After": "30" }, body: { code: "busy", detail: "busy" } });
    end();
    await pass(1);
    FakeEventSource.newest.fail("refused");
    await pass(29_000);
    expect(FakeEventSource.sources).toHaveLength(1);
    await pass(1100);
    expect(FakeEventSource.newest.fields).toEqual(["dp", "price"]);
  });

  test("new fields are requested by REST for all symbols, and there is no price for their listener until they are known", async () => {
    ask({ fields: ["dp"] });
    ask({ fields: ["dp"] }, "ETH");
    await pass(1);
    await deliver(FakeEventSource.newest, 2);
    rest.asked = [];
    let answer = () => {};
    const tickers = [message("BTC-USDT", 2), message("ETH-USDT", 2)];
    vi.stubGlobal("fetch", (url: string) => {
      rest.asked.push(url);
      return new Promise((resolve) => (answer = () => resolve(new Response(JSON.stringify({ tickers, missing: [] })))));
    });
    ask({ fields: ["sources"] });
    await pass(1);
    expect(rest.asked).toEqual(["/api/ticker?symbols=BTC%2CETH&fields=dp%2Cprice%2Csources"]);
    expect(store({ fields: ["sources"] }).getSnapshot()).toMatchObject({ status: "connecting", ticker: null, latest: null });
    expect(store({ fields: ["dp"] }).getSnapshot()).toMatchObject({ status: "live", ticker: { seq: 2 } });
    answer();
    await pass(20);
    expect(store({ fields: ["sources"] }).getSnapshot()).toMatchObject({ status: "live" });
    expect(store({ fields: ["sources"] }).getSnapshot().ticker?.sources).toHaveLength(2);
  });

  test("known fields stay while a stream without them goes on, and are forgotten when nobody asks for them", async () => {
    ask({ fields: ["dp"] });
    await pass(1);
    const first = FakeEventSource.newest;
    await deliver(first, 2);
    rest.answer = () => ({ body: { tickers: [message("BTC-USDT", 2)], missing: [] } });
    const end = ask({ fields: ["bid"] });
    await pass(20); // the answer by REST has all fields
    await deliver(first, 3);
    expect(store({ fields: ["bid"] }).getSnapshot()).toMatchObject({ status: "live", ticker: { seq: 3, bid: 64000 } });
    end();
    await pass(1);
    await deliver(first, 4);
    expect(store({ fields: ["bid"] }).getSnapshot()).toMatchObject({ status: "connecting", ticker: null });
  });

  test("while no stream opens, prices are polled with the same fields", async () => {
    ask({ fields: ["bid"] });
    await pass(1);
    rest.asked = [];
    for (let second = 0; second < 21; second += 1) {
      FakeEventSource.newest.fail();
      await pass(1000);
    }
    expect(rest.asked.length).toBeGreaterThan(1);
    for (const url of rest.asked) expect(url).toBe("/api/ticker?symbols=BTC&fields=bid%2Cprice");
  });

  test("a hidden page asks for one price in two seconds, and for its own rate at once when it is visible again", async () => {
    ask({ fields: ["dp"], maxHz: 4 });
    await pass(1);
    const first = FakeEventSource.newest;
    await deliver(first, 2);
    hide(true);
    await pass(3000);
    first.beat();
    await pass(2100);
    const slow = FakeEventSource.newest;
    expect(slow).toMatchObject({ fields: ["dp", "price"], maxHz: 0.5 });
    await deliver(slow, 3);
    expect(store({ fields: ["dp"], maxHz: 4 }).getSnapshot()).toMatchObject({ status: "live", ticker: { seq: 3 } });
    hide(false);
    await pass(1);
    expect(FakeEventSource.newest.maxHz).toBe(4);
    await deliver(FakeEventSource.newest, 4);
    expect(slow.closed).toBe(true);
    expect(FakeEventSource.sources).toHaveLength(3);
  });

  test("a page that is hidden for a moment keeps its stream", async () => {
    ask();
    await pass(1);
    await deliver(FakeEventSource.newest, 2);
    hide(true);
    await pass(4000);
    hide(false);
    await pass(10_000);
    expect(FakeEventSource.sources).toHaveLength(1);
  });

  test("a page that opens hidden asks at the lowest rate from the start", async () => {
    vi.spyOn(document, "hidden", "get").mockReturnValue(true);
    ask();
    await pass(1);
    expect(FakeEventSource.newest.maxHz).toBe(0.5);
  });
});

describe("what is live", () => {
  test.each([
    ["ok", "live"],
    ["single", "live"],
    ["disputed", "live"],
    ["stale", "stale"],
  ] as const)("a ticker of quality %s is %s", async (quality, status) => {
    const source = await live("BTC");
    source.tick("BTC-USDT", 3, { quality });
    await pass(20);
    expect(state("BTC")).toMatchObject({ status, isConnected: status === "live", ticker: { quality } });
  });

  test("a symbol without a price has no ticker, but its message says why", async () => {
    const source = await live("BTC");
    source.tick("BTC-USDT", 3, { quality: "down", price: null });
    await pass(20);
    expect(state("BTC")).toMatchObject({ status: "stale", isConnected: false, ticker: null, latest: { quality: "down" } });
  });

  test("figures that no exchange reports are NaN, so that formatting them does not throw", async () => {
    const source = await live("BTC");
    source.tick("BTC-USDT", 3, { changePercent24h: null, change24h: null });
    await pass(20);
    expect(state("BTC").ticker?.changePercent24h.toFixed(2)).toBe("NaN");
  });

  test("one symbol that falls silent is stale while the others are live", async () => {
    const source = await live("BTC", "ETH");
    for (let second = 0; second < 6; second += 1) {
      await pass(1000);
      source.tick("ETH-USDT", 3 + second);
    }
    await pass(20);
    expect([state("BTC").status, state("ETH").status]).toEqual(["stale", "live"]);
    source.tick("BTC-USDT", 3);
    await pass(20);
    expect(state("BTC").status).toBe("live");
  });

  test.each([
    ["older number", { seq: 1, aggregatedTime: 0 }, 64000.5],
    ["same number, as when it has become stale", { seq: 2, price: 1 }, 1],
    [
      "higher number of a publisher whose clock is behind",
      { seq: 9, price: 3, publisher: "b", aggregatedTime: 1_600_000_000_000 },
      3,
    ],
    [
      "lower number of a publisher whose clock is ahead",
      { seq: 1, price: 3, publisher: "b", aggregatedTime: 1_800_000_000_000 },
      64000.5,
    ],
    ["lower number made later: counting was restarted", { seq: 1, price: 2, aggregatedTime: 1_700_000_100_000 }, 2],
    [
      "higher number made long before: from before counting was restarted",
      { seq: 9, price: 3, aggregatedTime: 1_600_000_000_000 },
      64000.5,
    ],
  ])("%s", async (_, more, price) => {
    const source = await live("BTC");
    source.tick("BTC-USDT", 2, more);
    await pass(20);
    expect(state("BTC").ticker?.price).toBe(price);
  });

  test.each([["a quality of the future"], [undefined], [null]])("the quality %j is not live", async (quality) => {
    const source = await live("BTC");
    source.tick("BTC-USDT", 3, { quality } as Members);
    await pass(20);
    expect(state("BTC")).toMatchObject({ status: "stale", isConnected: false });
  });

  test("a late REST answer does not replace a price that the stream delivered meanwhile", async () => {
    const source = await live("BTC");
    let answer = (_: Response) => {};
    vi.stubGlobal("fetch", () => new Promise<Response>((resolve) => (answer = resolve)));
    hide(false); // a page that becomes visible polls
    await pass(1000);
    source.tick("BTC-USDT", 2, { quality: "stale" });
    answer(new Response(JSON.stringify({ tickers: [message("BTC-USDT", 2)], missing: [] })));
    await pass(20);
    expect(state("BTC").status).toBe("stale");
  });

  test.each([-3_600_000, 3_600_000])("a clock that jumps by %i ms keeps no old price live and stops no work", async (ms) => {
    const source = await live("BTC");
    source.fail();
    vi.setSystemTime(Date.now() + ms);
    rest.answer = () => null;
    await pass(1000);
    expect(state("BTC").isConnected).toBe(false);
    await pass(30_000);
    expect(FakeEventSource.sources.length).toBeGreaterThan(1);
    FakeEventSource.newest.connect();
    FakeEventSource.newest.tick("BTC-USDT", 3);
    await pass(20);
    expect(state("BTC").status).toBe("live");
  });

  test("an absurd sequence number does not mute a symbol for ever", async () => {
    const source = await live("BTC");
    source.tick("BTC-USDT", 1e15, { aggregatedTime: 9e15 });
    for (let second = 0; second < 12; second += 1) {
      await pass(1000);
      source.tick("BTC-USDT", 3 + second, { price: 70_000 });
    }
    await pass(20);
    expect(state("BTC")).toMatchObject({ status: "live", ticker: { price: 70_000 } });
  });

  test("a price's age is its publisher's measurement plus the time since it arrived here", async () => {
    const source = await live("BTC");
    source.tick("BTC-USDT", 3, { receivedTime: 1_700_000_000_000, aggregatedTime: 1_700_000_000_020 });
    await pass(20);
    const at = state("BTC");
    expect(tickerAge(at, (at.heardAt ?? 0) + 2000)).toBe(2020);
    expect(tickerAge(at, (at.heardAt ?? 0) - 5000)).toBe(20);
    expect(tickerAge({ ...at, latest: null })).toBeNull();
    source.tick("BTC-USDT", 4, { receivedTime: null });
    await pass(20);
    expect(tickerAge(state("BTC"))).toBeNull();
  });
});

describe("the connection", () => {
  test("reports the state of each exchange", async () => {
    const source = await live("BTC");
    const listener = vi.fn();
    const end = client.connection.subscribe(listener);
    source.say({ type: "status", data: statusOf("okx", true) });
    await pass(20);
    expect(client.connection.getSnapshot()).toMatchObject({
      status: "live",
      simulated: true,
      exchanges: { okx: { symbols: 4 } },
    });
    expect(listener).toHaveBeenCalledTimes(1);
    end();
  });

  test("a loss that is over within seconds is not reported, but a longer one is", async () => {
    const source = await live("BTC");
    source.fail();
    await pass(400);
    expect(FakeEventSource.open).toHaveLength(0);
    expect(state("BTC").status).toBe("live");
    await pass(150); // half a second in all: the first delay, with a jitter of one half
    expect(FakeEventSource.open).toHaveLength(1);
    await pass(5000);
    expect(state("BTC").status).toBe("reconnecting");
    expect(state("BTC").isConnected).toBe(false);
    FakeEventSource.newest.connect();
    FakeEventSource.newest.tick("BTC-USDT", 3);
    await pass(20);
    expect(state("BTC")).toMatchObject({ status: "live", error: null });
    expect(FakeEventSource.newest.url).toContain("last_event_id=BTC-USDT%3A2");
  });

  test("delays grow to half a minute, with jitter, and only a stream that lived long enough resets them", async () => {
    const source = await live("BTC");
    await pass(11_000);
    source.fail();
    const delays: number[] = [];
    for (let attempt = 0; attempt < 8; attempt += 1) {
      const before = FakeEventSource.sources.length;
      let waited = 0;
      for (; FakeEventSource.sources.length === before; waited += 100) await pass(100);
      delays.push(waited);
      FakeEventSource.newest.connect();
      FakeEventSource.newest.fail();
    }
    expect(delays).toEqual([500, 1000, 2000, 4000, 8000, 15_000, 15_000, 15_000]);
  });

  test("a stream that was refused is tried again, which a native EventSource would not do", async () => {
    listen("BTC");
    await pass(1);
    rest.answer = (url) =>
      url.includes("/api/realtime")
        ? { status: 429, headers: { "Retry-After": "5" }, body: { code: "too_many_streams", detail: "too many streams" } }
        : { body: { tickers: [message("BTC-USDT", 7)], missing: [] } };
    FakeEventSource.newest.fail("refused");
    await pass(4900);
    expect(FakeEventSource.sources).toHaveLength(1);
    await pass(200);
    expect(FakeEventSource.sources).toHaveLength(2);
    expect(state("BTC").ticker).not.toBeNull();
    await pass(26_000);
    expect(state("BTC")).toMatchObject({ status: "connecting", error: { code: "rate_limited", message: "too many streams" } });
  });

  test("while no stream opens, prices are polled every 10 s and never called live", async () => {
    const source = await live("BTC");
    source.fail();
    let seq = 10;
    rest.asked = [];
    rest.answer = () => ({ body: { tickers: [message("BTC-USDT", seq++)], missing: [] } });
    for (let second = 0; second < 60; second += 1) {
      await pass(1000);
      FakeEventSource.open[0]?.fail();
      if (second > 4) expect(state("BTC").isConnected).toBe(false);
    }
    expect(rest.asked.length).toBeGreaterThanOrEqual(5);
    expect(rest.asked.length).toBeLessThanOrEqual(7);
    expect(state("BTC").ticker?.seq).toBeGreaterThan(13);
    expect(state("BTC").status).toBe("offline");
  });

  test("without a network the gateway is reported as unreachable after a while", async () => {
    rest.answer = () => null;
    listen("BTC");
    await pass(1);
    FakeEventSource.newest.fail();
    await pass(31_000);
    expect(state("BTC")).toMatchObject({ status: "offline", error: { code: "unreachable" }, ticker: null });
  });

  test("a socket that died silently is noticed by its missing heartbeats", async () => {
    listen("BTC");
    await pass(1);
    const source = FakeEventSource.newest;
    source.connect(2000);
    for (let second = 0; second < 8; second += 1) {
      await pass(1000);
      source.beat();
    }
    expect(source.closed).toBe(false); // heartbeats are enough
    await pass(7000);
    expect(source.closed).toBe(true);
    expect(FakeEventSource.open).toHaveLength(1);
  });

  test("a stream that does not open is given up", async () => {
    await live("BTC");
    FakeEventSource.newest.fail();
    await pass(600);
    const hanging = FakeEventSource.newest;
    await pass(13_000);
    expect(hanging.closed).toBe(true);
    expect(FakeEventSource.open).toHaveLength(1);
    expect(FakeEventSource.newest).not.toBe(hanging);
  });

  test("after a goodbye the client comes back when the server says", async () => {
    const source = await live("BTC");
    source.say({ type: "bye", data: { reason: "shutdown", retryMs: 2500 } });
    expect(source.closed).toBe(true);
    await pass(2400);
    expect(FakeEventSource.open).toHaveLength(0);
    await pass(200);
    FakeEventSource.newest.connect();
    FakeEventSource.newest.tick("BTC-USDT", 3);
    await pass(20);
    expect(state("BTC").status).toBe("live");
  });

  test.each(["86400", "99999999", "-5", "soon"])("the wait for a Retry-After of %j ends", async (wait) => {
    listen("BTC");
    await pass(1);
    rest.answer = () => ({ status: 503, headers: { "Retry-After": wait }, body: { code: "busy", detail: "busy" } });
    FakeEventSource.newest.fail("refused");
    await pass(301_000);
    expect(FakeEventSource.sources.length).toBeGreaterThan(1);
    expect(FakeEventSource.sources.length).toBeLessThan(100);
  });

  test("no timer is left for a stream that no listener wants", async () => {
    const end = listen("BTC");
    await pass(1);
    rest.answer = () => ({ status: 503, headers: { "Retry-After": "200" }, body: { code: "busy", detail: "busy" } });
    FakeEventSource.newest.fail("refused");
    await pass(20);
    end();
    await pass(20);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("an absurd heartbeat interval is no reason to trust silence", async () => {
    listen("BTC");
    await pass(1);
    const source = FakeEventSource.newest;
    source.connect(Number.NaN);
    await pass(60_000);
    expect(source.closed).toBe(true);
  });

  test("an invalid address is reported, not thrown", async () => {
    const wrong = createRealtimeClient({ baseUrl: "http://[" });
    vi.stubGlobal(
      "EventSource",
      class {
        constructor() {
          throw new DOMException("not a URL", "SyntaxError");
        }
      },
    );
    const end = wrong.symbol("BTC").subscribe(() => {});
    await pass(31_000);
    expect(wrong.symbol("BTC").getSnapshot()).toMatchObject({ status: "offline", error: { code: "unreachable" } });
    end();
  });

  test("reconnect tries at once, even if the gateway refused before", async () => {
    listen("BTC");
    await pass(1);
    FakeEventSource.newest.fail();
    const before = FakeEventSource.sources.length;
    client.reconnect();
    expect(FakeEventSource.sources).toHaveLength(before + 1);
  });
});

describe("bad input", () => {
  test("an unknown symbol gets an error with suggestions, and the others stream", async () => {
    rest.answer = (url) =>
      url.includes("DOGGE") ? unknownSymbols({ "DOGGE-USDT": ["DOGE-USDT"] }) : { body: { tickers: [], missing: [] } };
    listen("BTC");
    listen("DOGGE");
    await pass(1);
    FakeEventSource.sources[0]?.fail("refused");
    await pass(20);
    expect(FakeEventSource.newest.symbols).toEqual(["BTC-USDT"]);
    expect(state("DOGGE")).toMatchObject({ status: "offline", error: { code: "unknown_symbol", suggestions: ["DOGE-USDT"] } });
    FakeEventSource.newest.connect();
    FakeEventSource.newest.tick("BTC-USDT", 2);
    await pass(20);
    expect(state("BTC")).toMatchObject({ status: "live", error: null });
  });

  test("a symbol of which it is not known whether it is listed is not called unknown, and is found soon", async () => {
    const body = { code: "listing_unknown", detail: "okx has not said yet what it lists", suggestions: { "NEW-USDT": [] } };
    rest.answer = (url) =>
      url.includes("NEW") ? { status: 503, headers: { "Retry-After": "5" }, body } : { body: { tickers: [], missing: [] } };
    listen("BTC");
    listen("NEW");
    await pass(1);
    FakeEventSource.sources[0]?.fail("refused");
    await pass(20);
    expect(FakeEventSource.newest.symbols).toEqual(["BTC-USDT"]);
    FakeEventSource.newest.connect();
    FakeEventSource.newest.tick("BTC-USDT", 2);
    await pass(20);
    expect(state("BTC")).toMatchObject({ status: "live", error: null });
    expect(state("NEW")).toMatchObject({ status: "connecting", error: { code: "busy", message: body.detail } });
    rest.answer = () => ({ body: { tickers: [], missing: [] } });
    await pass(10_000);
    expect(FakeEventSource.newest.symbols).toEqual(["BTC-USDT", "NEW-USDT"]);
    FakeEventSource.newest.connect();
    FakeEventSource.newest.tick("NEW-USDT", 1);
    await pass(20);
    expect(state("NEW")).toMatchObject({ status: "live", error: null });
  });

  test("a symbol that an exchange has listed since is found again", async () => {
    rest.answer = (url) => (url.includes("NEW") ? unknownSymbols({ "NEW-USDT": [] }) : { body: { tickers: [], missing: [] } });
    listen("BTC");
    listen("NEW");
    await pass(20);
    expect(state("NEW").error?.code).toBe("unknown_symbol");
    FakeEventSource.newest.connect();
    rest.answer = () => ({ body: { tickers: [], missing: [] } });
    for (let second = 0; second < 301; second += 1) {
      FakeEventSource.newest.beat();
      await pass(1000);
    }
    FakeEventSource.newest.connect();
    FakeEventSource.newest.tick("NEW-USDT", 1);
    await pass(20);
    expect(state("NEW")).toMatchObject({ status: "live", error: null });
  });

  test("a symbol that was unlisted is found again if it is the only one, or if others are still unknown", async () => {
    rest.answer = () => unknownSymbols({ "NEW-USDT": [], "DOGGE-USDT": [] });
    const end = listen("NEW");
    const endOther = listen("DOGGE");
    await pass(20);
    expect(state("NEW")).toMatchObject({ status: "offline", error: { code: "unknown_symbol" } });
    expect(FakeEventSource.open).toHaveLength(0);
    await pass(200_000);
    expect(FakeEventSource.open).toHaveLength(0);
    rest.answer = (url) =>
      url.includes("DOGGE") ? unknownSymbols({ "DOGGE-USDT": [] }) : { body: { tickers: [], missing: [] } };
    await pass(110_000);
    expect(FakeEventSource.newest.symbols).toEqual(["NEW-USDT"]);
    FakeEventSource.newest.connect();
    FakeEventSource.newest.tick("NEW-USDT", 1);
    await pass(20);
    expect(state("NEW")).toMatchObject({ status: "live", error: null });
    end();
    endOther();
  });

  test("an unlisted symbol that no listener wants any more is not requested again", async () => {
    rest.answer = () => unknownSymbols({ "NEW-USDT": [] });
    const end = listen("NEW");
    await pass(2000);
    end();
    await pass(20);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("a symbol that only the gateway calls malformed does not stop the others", async () => {
    rest.answer = (url) =>
      url.includes(encodeURIComponent("Ä"))
        ? { status: 400, body: { code: "malformed_symbol", detail: "not a symbol" } }
        : { body: { tickers: [message("BTC-USDT", 1)], missing: [] } };
    listen("BTC");
    listen("Ä");
    await pass(20);
    expect(state("Ä").error?.code).toBe("unknown_symbol");
    expect(FakeEventSource.newest.symbols).toEqual(["BTC-USDT"]);
  });

  test("text that is not a symbol is never requested", async () => {
    listen("BTC/USDT?");
    await pass(20);
    expect(FakeEventSource.sources).toHaveLength(0);
    expect(rest.asked).toHaveLength(0);
    expect(state("BTC/USDT?")).toMatchObject({ status: "offline", error: { code: "unknown_symbol" } });
  });

  test.each([
    ["half a message", '{"type":"ticker","da'],
    ["nothing", "null"],
    ["a ticker without a symbol", '{"type":"ticker","data":{"price":1}}'],
    ["a price that is a text", '{"type":"ticker","data":{"symbol":"BTC-USDT","sources":[],"price":"1"}}'],
    ["a ticker without a number", '{"type":"ticker","data":{"symbol":"BTC-USDT","sources":[],"price":1,"aggregatedTime":1}}'],
    [
      "a source that is not an object",
      '{"type":"ticker","data":{"symbol":"BTC-USDT","seq":9,"aggregatedTime":1,"sources":[null],"price":1}}',
    ],
    ["a price below zero", '{"type":"ticker","data":{"symbol":"BTC-USDT","sources":[],"price":-1}}'],
  ])("%s is reported and skipped, until the next good message", async (_, data) => {
    const source = await live("BTC");
    source.raw(data);
    await pass(20);
    expect(state("BTC")).toMatchObject({ ticker: { price: 64000.5 }, error: { code: "bad_data" } });
    source.tick("BTC-USDT", 3);
    await pass(20);
    expect(state("BTC")).toMatchObject({ status: "live", error: null });
  });

  test("a message of an unknown type is ignored", async () => {
    const source = await live("BTC");
    source.raw('{"type":"news","data":{}}');
    await pass(20);
    expect(state("BTC")).toMatchObject({ status: "live", error: null });
  });
});

describe("sleep and wake", () => {
  test("a page that becomes visible polls at once, and keeps a stream that delivers", async () => {
    const source = await live("BTC");
    hide(true);
    await pass(10_000);
    rest.asked = [];
    hide(false);
    expect(rest.asked).toHaveLength(1);
    expect(source.closed).toBe(false);
  });

  test("a stream that was silent for more than a heartbeat while the page slept is replaced at once", async () => {
    const source = await live("BTC");
    vi.setSystemTime(Date.now() + 3_600_000); // asleep: no timer ran
    hide(false);
    expect(state("BTC")).toMatchObject({ status: "stale", isConnected: false });
    expect(FakeEventSource.sources).toHaveLength(2);
    FakeEventSource.newest.connect();
    FakeEventSource.newest.tick("BTC-USDT", 99);
    await pass(20);
    expect(source.closed).toBe(true);
    expect(state("BTC")).toMatchObject({ status: "live", ticker: { seq: 99 } });
  });

  test("the backlog of old prices that a frozen page finds is never shown as live", async () => {
    const source = await live("BTC");
    rest.answer = () => null;
    vi.setSystemTime(Date.now() + 60_000); // frozen: no timer ran, but the network went on
    for (let seq = 3; seq < 9; seq += 1) source.tick("BTC-USDT", seq, { price: 1 });
    await pass(20);
    expect(source.closed).toBe(true);
    expect(state("BTC").ticker?.price).toBe(64000.5);
    expect(state("BTC").isConnected).toBe(false);
    expect(FakeEventSource.open).toHaveLength(1);
    FakeEventSource.newest.connect();
    FakeEventSource.newest.tick("BTC-USDT", 99, { price: 2 });
    await pass(20);
    expect(state("BTC")).toMatchObject({ status: "live", ticker: { price: 2 } });
  });

  test("a page hidden for minutes closes its stream, and opens one when it is visible again", async () => {
    const source = await live("BTC");
    hide(true);
    for (let minute = 0; minute < 6; minute += 1) {
      await pass(60_000);
      if (!source.closed) source.beat();
    }
    expect(FakeEventSource.open).toHaveLength(0);
    hide(false);
    await pass(20);
    expect(FakeEventSource.open).toHaveLength(1);
  });

  test("a network that comes back does not wake a hidden page at rest", async () => {
    await live("BTC");
    hide(true);
    await pass(400_000);
    globalThis.dispatchEvent(new Event("online"));
    await pass(20);
    expect(FakeEventSource.open).toHaveLength(0);
  });

  test("a page in the back/forward cache closes its stream, and opens one when it is shown", async () => {
    await live("BTC");
    globalThis.dispatchEvent(new Event("pagehide"));
    expect(FakeEventSource.open).toHaveLength(0);
    globalThis.dispatchEvent(new Event("pageshow"));
    await pass(20);
    expect(FakeEventSource.open).toHaveLength(1);
  });

  test("a platform that denies the network is not believed while prices come", async () => {
    const source = await live("BTC");
    vi.spyOn(navigator, "onLine", "get").mockReturnValue(false);
    globalThis.dispatchEvent(new Event("offline"));
    expect(state("BTC")).toMatchObject({ status: "live", isConnected: true });
    for (let second = 0; second < 60; second += 1) {
      await pass(1000);
      source.tick("BTC-USDT", 3 + second);
    }
    await pass(20);
    expect(state("BTC")).toMatchObject({ status: "live", isConnected: true, error: null });
    expect(client.connection.getSnapshot().status).toBe("live");
    expect(FakeEventSource.sources).toHaveLength(1);
  });

  test("a platform that vouches for the network is not believed when nothing comes", async () => {
    const source = await live("BTC");
    vi.spyOn(navigator, "onLine", "get").mockReturnValue(true);
    rest.answer = () => null;
    source.fail();
    for (let second = 0; second < 31; second += 1) {
      globalThis.dispatchEvent(new Event("online"));
      await pass(1000);
      for (const open of FakeEventSource.open) open.fail();
    }
    expect(state("BTC")).toMatchObject({ status: "offline", error: { code: "unreachable" } });
  });

  test("a page that got `pagehide` but stayed opens its stream again without another event", async () => {
    await live("BTC");
    globalThis.dispatchEvent(new Event("pagehide")); // no pageshow follows: the page stayed
    expect(FakeEventSource.open).toHaveLength(0);
    await pass(1000);
    expect(FakeEventSource.open).toHaveLength(1);
  });

  test("a page that becomes visible without an event is not left at rest", async () => {
    await live("BTC");
    hide(true);
    await pass(301_000);
    expect(FakeEventSource.open).toHaveLength(0);
    vi.spyOn(document, "hidden", "get").mockReturnValue(false); // no event is fired
    await pass(1000);
    expect(FakeEventSource.open).toHaveLength(1);
  });

  test("a page at rest does not claim that the gateway cannot be reached", async () => {
    await live("BTC");
    hide(true);
    await pass(400_000);
    expect(state("BTC")).toMatchObject({ status: "stale", isConnected: false, error: null });
  });

  test("a visible page that calls itself hidden shows prices all the same", async () => {
    vi.spyOn(document, "hidden", "get").mockReturnValue(true);
    const source = await live("BTC");
    source.tick("BTC-USDT", 3, { price: 70_000 });
    await pass(300);
    expect(state("BTC")).toMatchObject({ status: "live", ticker: { price: 70_000 } });
  });

  test("an EventSource is judged by the messages that arrive, not by whether it calls itself open or closed", async () => {
    const source = await live("BTC");
    source.readyState = FakeEventSource.CLOSED;
    await pass(3000);
    source.tick("BTC-USDT", 3);
    await pass(20);
    expect(state("BTC").status).toBe("live");
    source.readyState = FakeEventSource.OPEN;
    await pass(40_000);
    expect(source.closed).toBe(true);
  });
});

describe("refusals", () => {
  const refusal = (more: Record<string, unknown> = {}) => ({
    data: JSON.stringify({
      type: "about:blank",
      title: "Too Many Requests",
      status: 429,
      code: "too_many_streams",
      detail: "too many streams from this address",
      retryMs: 5000,
      ...more,
    }),
  });

  function refuse(source: FakeEventSource, more: Record<string, unknown> = {}) {
    source.readyState = FakeEventSource.OPEN;
    source.dispatchEvent(Object.assign(new Event("refused"), refusal(more)));
    source.fail(); // the gateway ends the stream
  }

  test.each([
    [429, "too_many_streams", "rate_limited"],
    [429, "too_many_requests", "rate_limited"],
    [503, "busy", "busy"],
    [503, "draining", "busy"],
    [502, "gateway_failed", "busy"],
    [503, "a code of the future", "busy"],
  ])(
    "a refusal sent as a stream, %i %s, is not live, never offline, and tried again when it says",
    async (status, code, expected) => {
      listen("BTC");
      await pass(1);
      rest.asked = [];
      refuse(FakeEventSource.newest, { status, code, detail: "not now" });
      await pass(20);
      expect(FakeEventSource.open).toHaveLength(0);
      expect(state("BTC")).toMatchObject({ isConnected: false, error: { code: expected, message: "not now" } });
      expect(rest.asked).toEqual([]); // the refusal itself contained the reason
      await pass(4900);
      expect(FakeEventSource.sources).toHaveLength(1);
      await pass(200);
      expect(FakeEventSource.sources).toHaveLength(2);
      for (let attempt = 0; attempt < 20; attempt += 1) {
        refuse(FakeEventSource.newest, { status, code, detail: "not now" });
        await pass(5100);
      }
      expect(state("BTC")).toMatchObject({ status: "connecting", error: { code: expected } });
      FakeEventSource.newest.connect();
      FakeEventSource.newest.tick("BTC-USDT", 9);
      await pass(20);
      expect(state("BTC")).toMatchObject({ status: "live", error: null });
    },
  );

  test("prices are polled while a stream is refused", async () => {
    listen("BTC");
    await pass(1);
    rest.asked = [];
    for (let attempt = 0; attempt < 12; attempt += 1) {
      refuse(FakeEventSource.newest);
      await pass(5100);
    }
    expect(rest.asked.length).toBeGreaterThanOrEqual(5);
    expect(rest.asked.length).toBeLessThanOrEqual(7);
  });

  test("a stream that was open and is now refused for long is reconnecting", async () => {
    const source = await live("BTC");
    source.fail();
    for (let attempt = 0; attempt < 10; attempt += 1) {
      await pass(5100);
      refuse(FakeEventSource.newest);
    }
    await pass(20);
    expect(state("BTC")).toMatchObject({ status: "reconnecting", error: { code: "rate_limited" } });
  });

  test.each([
    "not JSON",
    "null",
    "1",
    '{"status":503}',
    '{"status":429,"retryMs":"soon"}',
    '{"retryMs":-1}',
    '{"retryMs":1e99}',
  ])("a refusal with the malformed data %s counts as a refusal, too", async (data) => {
    listen("BTC");
    await pass(1);
    FakeEventSource.newest.dispatchEvent(Object.assign(new Event("refused"), { data }));
    FakeEventSource.newest.fail();
    await pass(301_000);
    expect(FakeEventSource.sources.length).toBeGreaterThan(1);
    expect(FakeEventSource.sources.length).toBeLessThan(60);
    FakeEventSource.newest.connect();
    FakeEventSource.newest.tick("BTC-USDT", 9);
    await pass(20);
    expect(state("BTC")).toMatchObject({ status: "live", error: null });
  });

  test("if a new set of symbols is refused, the old stream goes on", async () => {
    const source = await live("BTC");
    listen("ETH");
    await pass(1);
    refuse(FakeEventSource.newest);
    await pass(20);
    source.tick("BTC-USDT", 3);
    await pass(20);
    expect(source.closed).toBe(false);
    expect(state("BTC")).toMatchObject({ status: "live", error: null });
    await pass(5200);
    expect(FakeEventSource.newest.symbols).toEqual(["BTC-USDT", "ETH-USDT"]);
  });

  const room = (symbol: string, detail: string | null) => ({
    type: "room" as const,
    data: { symbol, room: detail === null, reason: detail && "full", exchanges: ["okx"], detail },
  });

  test("a symbol without room gets an error, and streams once there is room", async () => {
    const source = await live("BTC", "DOGE");
    await pass(6000);
    source.tick("BTC-USDT", 3);
    source.say(room("DOGE-USDT", "okx is full"));
    await pass(20);
    expect(state("DOGE")).toMatchObject({
      status: "stale",
      isConnected: false,
      ticker: { price: 64000.5 },
      error: { code: "no_room", message: "okx is full" },
    });
    expect(state("BTC")).toMatchObject({ status: "live", error: null });
    source.tick("DOGE-USDT", 4, { quality: "stale" });
    source.tick("DOGE-USDT", 5, { quality: "down", price: null });
    await pass(20);
    expect(state("DOGE")).toMatchObject({ isConnected: false, ticker: null, error: { code: "no_room" } });
    source.say(room("DOGE-USDT", null));
    source.tick("DOGE-USDT", 6);
    await pass(20);
    expect(state("DOGE")).toMatchObject({ status: "live", error: null });
  });

  test("a symbol that never had room is neither offline nor unknown", async () => {
    rest.answer = () => ({ body: { tickers: [], missing: ["DOGE-USDT"], noRoom: { "DOGE-USDT": "share" } } });
    listen("DOGE");
    await pass(1);
    FakeEventSource.newest.connect();
    FakeEventSource.newest.say(room("DOGE-USDT", "room is short"));
    await pass(20);
    expect(state("DOGE")).toMatchObject({ status: "connecting", isConnected: false, error: { code: "no_room" } });
    expect(FakeEventSource.open).toHaveLength(1);
  });

  test("a stream's reports of missing room end with the stream", async () => {
    const source = await live("BTC");
    source.say(room("BTC-USDT", "okx is full"));
    await pass(20);
    expect(state("BTC").error?.code).toBe("no_room");
    source.fail();
    await pass(600);
    FakeEventSource.newest.connect();
    await pass(20);
    expect(state("BTC").error).toBeNull();
  });
});

describe("rapid changes of what is wanted", () => {
  /** Listen to one symbol after another, a new one every `everyMs`, as a list does while it is scrolled. */
  async function scroll(everyMs: number, forMs: number, symbolOf = (turn: number) => `C${turn % 90}`) {
    let end = () => {};
    for (let turn = 0; turn * everyMs < forMs; turn += 1) {
      const before = end;
      end = listen(symbolOf(turn));
      before();
      await pass(everyMs);
    }
  }

  /** Return the largest number of these moments that lie within one second. */
  function mostInASecond(moments: readonly number[]): number {
    return Math.max(...moments.map((from) => moments.filter((at) => at >= from && at < from + 1000).length));
  }

  test.each([1, 16, 50, 99])(
    "every %i ms cost at most ten streams and requests a second, and the last one wins",
    async (everyMs) => {
      const opened: number[] = [];
      const asked: number[] = [];
      vi.stubGlobal(
        "EventSource",
        class extends FakeEventSource {
          constructor(url: string) {
            super(url);
            opened.push(Date.now());
          }
        },
      );
      rest.answer = () => {
        asked.push(Date.now());
        return { body: { tickers: [], missing: [] } };
      };
      await scroll(everyMs, 3000);
      listen("LAST");
      await pass(1000);
      expect(opened.length).toBeGreaterThan(10);
      expect(mostInASecond(opened)).toBeLessThanOrEqual(10);
      expect(mostInASecond(asked)).toBeLessThanOrEqual(10);
      expect(FakeEventSource.open.at(-1)?.symbols).toContain("LAST-USDT");
      expect(FakeEventSource.open).toHaveLength(1);
    },
  );

  test("cost no more if they go from some symbols to none and back", async () => {
    const opened: number[] = [];
    for (let turn = 0; turn < 100; turn += 1) {
      const before = FakeEventSource.sources.length;
      const end = listen("BTC");
      await pass(15);
      end();
      await pass(15);
      for (let more = FakeEventSource.sources.length - before; more > 0; more -= 1) opened.push(Date.now());
    }
    expect(mostInASecond(opened)).toBeLessThanOrEqual(10);
    listen("BTC");
    await pass(1000);
    expect(FakeEventSource.open).toHaveLength(1);
  });

  test("cost no more with symbols that no exchange lists", async () => {
    const opened: number[] = [];
    rest.answer = (url) => {
      const symbols = new URL(url, "http://here").searchParams.get("symbols")?.split(",") ?? [];
      return unknownSymbols(Object.fromEntries(symbols.map((symbol) => [symbol, []])));
    };
    const count = () => FakeEventSource.sources.length;
    for (let turn = 0; turn < 120; turn += 1) {
      const had = count();
      const end = listen(`N${turn}`);
      await pass(25);
      end();
      for (let more = count() - had; more > 0; more -= 1) opened.push(Date.now());
    }
    expect(mostInASecond(opened)).toBeLessThanOrEqual(10);
  });

  test("of the fields and the rate cost no more", async () => {
    const opened: number[] = [];
    const fields: Field[] = ["bid", "ask", "dp", "low24h", "high24h"];
    for (let turn = 0; turn < 150; turn += 1) {
      const had = FakeEventSource.sources.length;
      const wish = { fields: fields.slice(turn % 5, (turn % 5) + 2), maxHz: 1 + (turn % 7) };
      const end = client.symbol("BTC", wish).subscribe(() => {});
      await pass(15);
      end();
      for (let more = FakeEventSource.sources.length - had; more > 0; more -= 1) opened.push(Date.now());
    }
    expect(opened.length).toBeGreaterThan(10);
    expect(mostInASecond(opened)).toBeLessThanOrEqual(10);
  });

  test("open no stream if the set is the same as before", async () => {
    const source = await live("BTC");
    for (let turn = 0; turn < 20; turn += 1) {
      const end = listen("ETH");
      end();
      await pass(5);
    }
    expect(FakeEventSource.open).toEqual([source]);
  });
});

describe("a failed request is not an answer", () => {
  test.each([
    ["an answer without tickers", { body: {} }],
    ["an answer of nothing", { body: null }],
    ["an error", { status: 500, body: { code: "internal_error", detail: "an error of this server" } }],
    ["no network", null],
    ["an unknown symbol without a name", { status: 404, body: { code: "unknown_symbol", detail: "nobody lists it" } }],
  ])("%s takes nothing away, and is told", async (_, answer) => {
    const source = await live("BTC");
    rest.answer = () => answer as ReturnType<typeof rest.answer>;
    source.fail();
    for (let second = 0; second < 40; second += 1) {
      await pass(1000);
      for (const open of FakeEventSource.open) open.fail();
    }
    expect(state("BTC").ticker?.price).toBe(64000.5);
    expect(state("BTC").isConnected).toBe(false);
    expect(state("BTC").error?.code).toMatch(/unreachable|busy|bad_data/);
  });

  test("the last known exchanges are kept until a new stream reports one", async () => {
    const source = await live("BTC");
    source.say({ type: "status", data: statusOf("okx", true) });
    source.say({ type: "status", data: statusOf("binance") });
    await pass(20);
    source.fail();
    await pass(600);
    FakeEventSource.newest.connect();
    await pass(20);
    expect(client.connection.getSnapshot()).toMatchObject({ simulated: true, exchanges: { okx: {}, binance: {} } });
    FakeEventSource.newest.say({ type: "status", data: statusOf("binance") });
    await pass(20);
    expect(Object.keys(client.connection.getSnapshot().exchanges)).toEqual(["binance"]);
  });
});
