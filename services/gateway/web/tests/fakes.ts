/** A fake gateway, a fake clock and a fake frame every 16 ms, so that a test decides when each thing happens. */
import { vi } from "vitest";
import type { Candle, CandleMessage, Field, Problem, StreamEvent, TickerMessage } from "../src/types.ts";

/** A ticker with any members. One that is undefined is left out of the message. */
export type Members = { [F in Field]?: TickerMessage<Field>[F] | undefined };

export function message(symbol: string, seq: number, more: Members = {}): TickerMessage<Field> {
  // Only what some test reads: a field that is new need not be here.
  return {
    v: 1,
    symbol,
    seq,
    price: 64000.5,
    dp: 2,
    bid: 64000,
    ask: 64001,
    change24h: 100,
    changePercent24h: 0.1565,
    open24h: 63900.5,
    high24h: 64100,
    low24h: 63800,
    volume24h: 10,
    quoteVolume24h: 640000,
    quality: "ok",
    confidence: 1,
    spreadBps: 0.1,
    sourcesUsed: 2,
    sourcesTotal: 2,
    sources: [
      { exchange: "binance", price: 64000.5, usedPrice: 64000.5, weight: 0.6, ageMs: 20, state: "used", reason: null },
      { exchange: "okx", price: 64000.5, usedPrice: 64000.5, weight: 0.4, ageMs: 300, state: "used", reason: null },
    ],
    exchangeTime: 1_700_000_000_000,
    receivedTime: 1_700_000_000_010,
    aggregatedTime: 1_700_000_000_020 + seq,
    publisher: "aggregator:1",
    agreedPrice: 64000,
    agreedTime: 1_700_000_000_020 + seq,
    pricedTime: 1_700_000_000_020 + seq,
    ...more,
  } as TickerMessage<Field>;
}

/** The members of a ticker whose newest price an exchange sent this long before the ticker was made. */
export function aged(ageMs: number): Members {
  return { aggregatedTime: 1_700_000_000_000, receivedTime: 1_700_000_000_000 - ageMs };
}

/** Return what the fake gateway makes of symbols: without a quote they are in USDT, and each counts once. */
export function resolved(names: readonly string[]): string[] {
  return [...new Set(names.map((name) => (/^[^-]+$/.test(name) ? `${name}-USDT` : name)))];
}

type Connected = Extract<StreamEvent, { type: "connected" }>["data"];

export function connected(symbols: string[], more: Partial<Connected> = {}): Connected {
  const data = { instance: "fake", simulated: false, resumed: false, heartbeatMs: 15_000, maxHz: null, fields: null };
  return { symbols, ...data, ...more };
}

/** Stands in for EventSource. `sources` holds all that were opened, in order. */
export class FakeEventSource extends EventTarget {
  static readonly CONNECTING = 0;
  static readonly OPEN = 1;
  static readonly CLOSED = 2;
  static sources: FakeEventSource[] = [];

  onmessage: ((event: MessageEvent) => void) | null = null;
  onerror: (() => void) | null = null;
  readyState = FakeEventSource.CONNECTING;
  closed = false;

  constructor(readonly url: string) {
    super();
    FakeEventSource.sources.push(this);
  }

  static get newest(): FakeEventSource {
    const source = FakeEventSource.sources.at(-1);
    if (!source) throw new Error("no stream was opened");
    return source;
  }

  static get open(): FakeEventSource[] {
    return FakeEventSource.sources.filter((source) => !source.closed);
  }

  /** The symbols that it carries, in full. */
  get symbols(): string[] {
    return resolved(this.asked("symbols").split(","));
  }

  get fields(): string[] {
    return this.asked("fields").split(",");
  }

  get maxHz(): number {
    return Number(this.asked("max_hz"));
  }

  private asked(name: string): string {
    return new URL(this.url, "http://here").searchParams.get(name) ?? "";
  }

  close() {
    this.closed = true;
    this.readyState = FakeEventSource.CLOSED;
  }

  raw(data: string, lastEventId = "") {
    if (!this.closed) this.onmessage?.({ data, lastEventId } as MessageEvent);
  }

  say(event: StreamEvent, lastEventId = "") {
    this.raw(JSON.stringify(event), lastEventId);
  }

  connect(heartbeatMs = 15_000) {
    this.readyState = FakeEventSource.OPEN;
    this.say({ type: "connected", data: connected(this.symbols, { heartbeatMs, fields: this.fields, maxHz: this.maxHz }) });
  }

  tick(symbol: string, seq: number, more: Members = {}) {
    this.say({ type: "ticker", data: message(symbol, seq, more) }, `${symbol}:${seq}`);
  }

  beat() {
    this.dispatchEvent(new Event("hb"));
  }

  /** Act as if the connection was lost, or (`refused`) as if the server answered with something other than a stream. */
  fail(how: "lost" | "refused" = "lost") {
    this.readyState = how === "refused" ? FakeEventSource.CLOSED : FakeEventSource.CONNECTING;
    this.onerror?.();
  }
}

type Answer = { status?: number; headers?: Record<string, string>; body: unknown };

/** Stands in for fetch. `answer` returns the response for a URL; if it returns null, the network fails. */
export class FakeRest {
  asked: string[] = [];
  keys: (string | undefined)[] = [];
  answer: (url: string) => Answer | null = (url) => {
    const symbols = resolved(new URL(url, "http://here").searchParams.get("symbols")?.split(",") ?? []);
    return url.includes("/api/ticker") ? { body: { tickers: symbols.map((symbol) => message(symbol, 1)), missing: [] } } : null;
  };

  fetch = async (url: string, { headers }: { headers?: Record<string, string> } = {}): Promise<Response> => {
    this.asked.push(url);
    this.keys.push(headers?.["X-API-Key"]);
    const answer = this.answer(url);
    if (!answer) throw new TypeError("network error");
    return new Response(JSON.stringify(answer.body), { status: answer.status ?? 200, headers: answer.headers ?? {} });
  };
}

export function unknownSymbols(suggestions: Record<string, string[]>): Answer {
  const body: Problem = {
    type: "about:blank",
    title: "Not Found",
    status: 404,
    detail: "nobody lists it",
    instance: "/api/ticker",
    code: "unknown_symbol",
    suggestions,
    errors: null,
    symbol: null,
    reason: null,
  };
  return { status: 404, body };
}

/** Replace the browser's EventSource, fetch and timers by fakes. The clock stands still until a test moves it. */
export function fakeBrowser(): FakeRest {
  vi.useFakeTimers({ now: 1_700_000_000_000 });
  FakeEventSource.sources = [];
  vi.stubGlobal("EventSource", FakeEventSource);
  const rest = new FakeRest();
  vi.stubGlobal("fetch", rest.fetch);
  vi.spyOn(Math, "random").mockReturnValue(0.5);
  return rest;
}

export const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);

export const MINUTE_MS = 60_000;

/** A candle of a minute, given in minutes since 1970. It is closed unless told otherwise. */
export function candle(minute: number, more: Partial<CandleMessage> = {}): CandleMessage {
  const start = minute * MINUTE_MS;
  return {
    ...{ v: 1, exchange: null, symbol: "BTC-USDT", interval: "1m", start, end: start + MINUTE_MS },
    ...{ open: 100, high: 110, low: 90, close: 101, volume: 5, quoteVolume: 500, vwap: 100, trades: 50, buyVolume: 2 },
    ...{ closed: true, revision: 0, origin: "live", exchanges: ["binance"], firstSeq: 1, lastSeq: 100, seen: 100, missed: 0 },
    ...{ exchangeTime: start, receivedTime: start, publishedTime: start, ...more },
  };
}

/** Return what the gateway keeps of a closed candle. */
export function past({ start, end, open, high, low, close, volume, quoteVolume, trades, ...more }: CandleMessage): Candle {
  const { revision, missed, origin, closed } = more;
  return { start, end, open, high, low, close, volume, quoteVolume, trades, revision, missed, origin, closed };
}
