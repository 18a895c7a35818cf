/**
 * One stream of prices that never stops reconnecting. It opens an EventSource, watches it and replaces it. While no stream
 * is open, it polls by REST.
 *
 * A native EventSource gives up for good after any response but 200, and does not notice a connection that died silently.
 * So each EventSource is used until it fails or falls silent. A new one follows, after a delay that grows with each failure.
 */
import { backoffMs, LONGEST_DELAY_MS, since } from "./timing.ts";
import type {
  EventSourceLike,
  Feed,
  Problem,
  RealtimeClientOptions,
  RealtimeError,
  StreamEvent,
  Tell,
  TickerMessage,
  Wants,
} from "./types.ts";
import { asQuery, asStream, joined, NOTHING } from "./wants.ts";
import { isNamed, isStatus, isTicker } from "./wire.ts";

/** The most symbols that the gateway accepts in one request. */
export const MOST_SYMBOLS = 100;
// The time between polls; the time limit of a request and of a stream's first message; how long a good stream lives at least.
const PATIENCE_MS = 10_000;
// The longest wait that a server may ask for; how long an unlisted symbol is not requested again.
const LONGEST_WAIT_MS = 300_000;
const LESS_AFTER_MS = 5000; // a stream that carries more than is wanted goes on for this long: more may be wanted again soon
const PACE_MS = 200; // between streams, however often the wants change; with the burst, at most ten are opened in any second
const BURST = 5; // how many streams may be opened without a pause
const SILENT_BEATS = 2.5; // a stream that sends nothing for this many heartbeat intervals is dropped

const ASLEEP_MS = 5000; // code that did not run for longer was asleep
const NONSENSE: RealtimeError = { code: "bad_data", message: "no gateway there" };
const BEAT_MS = 15_000; // the heartbeat interval, unless the gateway states another
const LONGEST_BEAT_MS = 60_000; // longer heartbeat intervals are not believed

/** Return a received value as a number if that is above zero, else 0. */
const positive = (told: unknown): number => Math.max(0, Number(told)) || 0;

/** Return the error for a response that refused a request. */
function errorOf({ detail }: Problem, status: number): RealtimeError {
  const code = status === 429 ? "rate_limited" : status === 401 ? "unauthorized" : status < 500 ? "unreachable" : "busy";
  return { code, message: `${detail}` };
}

/**
 * Make a feed of a gateway's prices. It opens a stream once symbols are wanted, and reports all news to `tell`.
 * `baseUrl` is "" for this page's own origin; `apiKey` is "" for a gateway that wants no key.
 */
export function openStream({ baseUrl = "", apiKey = "", EventSource: Given }: RealtimeClientOptions, tell: Tell): Feed {
  // What to carry.
  let wanted = NOTHING; // all that the page wants
  // Those that the gateway refused, most of them because no exchange lists them: since when, and for how long they are left out.
  const refused = new Map<string, { readonly at: number; readonly forMs: number }>();
  let asked: readonly string[] = []; // those whose first price, with all wanted fields, was requested by REST

  // Streams. While a new one takes over from an old one, there are two.
  let current: EventSourceLike | null = null; // the stream that delivers
  let next: EventSourceLike | null = null; // the stream that takes over with its first message
  let carrying = NOTHING; // what the newest stream carries
  let carried = ""; // the same as its URL's query
  let delivered = ""; // the current stream's query
  let kinds: readonly string[] = []; // what the current stream carries beside tickers
  let unbroken = 0; // since when no message can have been missed: a moment, different after each interruption
  const getting = new Set<string>(); // the paths that are being requested for `get`
  let retry: ReturnType<typeof setTimeout> | undefined; // until the next attempt
  let lessening: ReturnType<typeof setTimeout> | undefined; // until a stream of less takes over

  // The gateway's reports.
  let lastEventId = ""; // sent with the next stream, so that the gateway knows that it is a resumed one
  let simulated = false; // whether the prices are simulated
  let quote = ""; // the currency of a symbol that is asked for without one
  let beatMs = BEAT_MS; // the heartbeat interval

  // Faults.
  const unreachable: RealtimeError = { code: "unreachable", message: `${baseUrl}/api does not answer` };
  let error: RealtimeError | null = null; // the newest one that still holds
  let failures = 0; // how many streams failed in a row

  // Moments in Unix milliseconds; 0 is long ago.
  let heardAt = 0; // when the stream last sent anything
  let askedAt = 0; // when prices were last requested by REST
  let openedAt = 0; // when the newest stream was opened
  let lookedAt = 0; // when this code last ran; if that is long ago, the page was asleep
  let askNotBefore = 0; // the gateway wants no REST request before this
  let paceAt = 0; // each new stream moves this on by PACE_MS; it may run ahead of the clock by BURST - 1 of them

  const unrefused = () => wanted.symbols.filter((symbol) => !refused.has(symbol));
  const streamable = (): Wants => {
    const symbols = unrefused().slice(0, MOST_SYMBOLS).sort();
    return {
      ...wanted,
      symbols,
      kinds: wanted.kinds.filter((kind) => symbols.includes(kind.slice(kind.lastIndexOf(":") + 1))),
    };
  };
  const streamUrl = () => `${baseUrl}/api/realtime?${carried}${apiKey && `&api_key=${encodeURIComponent(apiKey)}`}`;

  function tellLink(news: RealtimeError | null = error) {
    error = news;
    tell("link", { up: !!current, simulated, error, since: unbroken, kinds });
  }

  /** Note that messages may have been missed before now. */
  function breakOff() {
    unbroken = Math.max(Date.now(), unbroken + 1);
  }

  function tellRefused(symbol: string, error: RealtimeError | null) {
    tell("refused", { symbol, error });
  }

  /**
   * Learn the currency of the symbols that are asked for without one, from a request's symbols and the full ones in its answer.
   * If these leave open which one `BTC` became, the first one counts, if the answer is in the order of the request.
   */
  function learn(asked: readonly string[], told: readonly string[], isInOrder = false) {
    const name = asked.find((one) => !one.includes("-"));
    const meant = told.filter((symbol) => symbol.startsWith(`${name}-`));
    const symbol = meant.find((one) => !asked.includes(one)) ?? (isInOrder || !meant[1] ? meant[0] : "");
    const [, news] = symbol?.split("-") ?? [];
    if (!news || news === quote) return;
    quote = news;
    tell("quote", { quote });
  }

  /** Report a ticker, or throw if it is malformed. `heardAt` is a time at which it was surely the newest. */
  function take(data: TickerMessage<"sources">, heardAt: number) {
    if (!isTicker(data)) throw new Error();
    tell("ticker", data, heardAt);
  }

  /**
   * Open a stream that carries the wants of now, unless the current stream carries just these. Request the first prices of new symbols
   * by REST, too, or those of all symbols if the fields have changed.
   */
  function open(): void {
    clearTimeout(retry);
    clearTimeout(lessening);
    retry = undefined;
    next?.close();
    next = null;
    carrying = streamable();
    carried = asStream(carrying);
    if (!carried) {
      current?.close();
      current = null;
      asked = [];
      quote = "";
      tellLink(null);
      return;
    }
    ask(carrying.symbols.filter((symbol) => !asked.includes(symbol)));
    asked = carrying.symbols;
    if (current && carried === delivered) return;
    if (!current) tellLink();
    openedAt = Date.now();
    paceAt = Math.max(paceAt, openedAt) + PACE_MS;
    let source: EventSourceLike;
    try {
      const url = streamUrl() + (lastEventId && `&last_event_id=${encodeURIComponent(lastEventId)}`);
      source = new (Given ?? EventSource)(url);
    } catch {
      tellLink(unreachable); // the URL is not valid
      later(LONGEST_DELAY_MS);
      return;
    }
    next = source;
    const receive = (text: string) => {
      try {
        handle(source, JSON.parse(text));
        if (error?.code === "bad_data") tellLink(null);
      } catch {
        tellLink(NONSENSE);
      }
    };
    source.onmessage = ({ data, lastEventId: id }) => {
      if (startedAnew()) return;
      heardAt = Date.now();
      lastEventId = id || lastEventId;
      receive(data);
    };
    source.addEventListener("hb", () => {
      heardAt = Date.now();
    });
    source.addEventListener("refused", ({ data }) => receive(`{"type":"refused","data":${data}}`));
    source.onerror = () => lose(source);
  }

  function handle(source: EventSourceLike, { type, data }: StreamEvent) {
    if (type === "connected" && source === next) {
      if (current)
        current.close(); // not before the new stream delivers
      else breakOff();
      [current, next] = [source, null];
      delivered = carried;
      kinds = carrying.kinds;
      simulated = data.simulated;
      beatMs = Math.min(positive(data.heartbeatMs) || BEAT_MS, LONGEST_BEAT_MS);
      for (const symbol of carrying.symbols) tellRefused(symbol, null); // the new stream reports which symbols have no room
      tellLink(null);
      learn(carrying.symbols, data.symbols, true);
    } else if (type === "ticker") take(data, heardAt);
    else if (type === "candle") {
      if (!isNamed(data)) throw new Error();
      tell(type, data);
    } else if (type === "resync") {
      breakOff();
      tellLink();
    } else if (type === "status") {
      if (!isStatus(data)) throw new Error();
      tell(type, data);
    } else if (type === "room") tellRefused(data.symbol, data.room ? null : { code: "no_room", message: `${data.detail}` });
    else if (type === "refused" || type === "bye") {
      lose(source, data?.retryMs); // the server gives its clients different delays, to spread their return
      if (type === "refused" && !current) tellLink(errorOf(data, data.status));
    }
  }

  /** Close a stream that failed or must end, and schedule the next one: after `delayMs` if given, else after a backoff. */
  async function lose(source: EventSourceLike, delayMs?: number) {
    const isRefused = source.readyState === 2;
    source.close();
    if (source === next) next = null;
    else if (source === current) {
      current = null;
      if (since(openedAt) > PATIENCE_MS) failures = 0; // the stream was a good one
      tellLink();
    } else return;
    let waitMs = positive(delayMs) || backoffMs(++failures);
    // An EventSource hides why it was refused, so request the same URL to learn the reason.
    if (isRefused) waitMs = positive(await request(streamUrl())) || waitMs;
    if (carried && !next && !retry) later(waitMs); // otherwise nothing is wanted, or a new stream is on its way already
  }

  /** Call `open` after this delay, or later if the pace demands it. */
  function later(delayMs = 0): void {
    clearTimeout(retry);
    retry = undefined;
    const waitMs = Math.min(Math.max(delayMs, paceAt - (BURST - 1) * PACE_MS - Date.now()), LONGEST_WAIT_MS);
    if (waitMs > 0) retry = setTimeout(open, waitMs);
    else open();
  }

  /** Request the newest tickers by REST, unless the gateway wants no request yet. */
  function ask(symbols = streamable().symbols) {
    const at = Date.now();
    if (!symbols.length || !wanted.fields.length || at < askNotBefore) return;
    askedAt = at;
    request(`${baseUrl}/api/ticker?${asQuery({ ...wanted, symbols })}`, ({ tickers, missing }) => {
      learn(symbols, [...tickers.map(({ symbol }) => symbol), ...missing]);
      for (const ticker of tickers) take(ticker, at);
    });
  }

  /**
   * Request a URL. Pass the JSON of a good answer to `read`; report what is wrong with any other, to `fail` if that is given. Return
   * the milliseconds for which the server wants no further request, if it says so. Without `read`, a good answer is aborted: it
   * is a stream.
   */
  async function request(
    url: string,
    read?: (answer: { tickers: readonly TickerMessage<"sources">[]; missing: readonly string[] }) => void,
    fail?: (error: RealtimeError, status: number) => void,
  ): Promise<unknown> {
    let news = unreachable;
    let waitMs = 0;
    let status = 0;
    const end = new AbortController();
    const timer = setTimeout(() => end.abort(), PATIENCE_MS);
    try {
      const response = await fetch(url, { headers: apiKey ? { "X-API-Key": apiKey } : {}, signal: end.signal });
      status = response.status;
      if (response.ok) {
        if (!read) return end.abort();
        news = NONSENSE;
        return read(await response.json());
      }
      waitMs = Math.min(1000 * positive(response.headers.get("Retry-After")), LONGEST_WAIT_MS);
      const problem: Problem = await response.json();
      news = errorOf(problem, status);
      const isUnlisted = problem.code === "unknown_symbol" || problem.code === "malformed_symbol";
      const unknown = isUnlisted || problem.code === "listing_unknown" ? (problem.suggestions ?? {}) : {};
      // The gateway does not always say which symbol is malformed. Beyond ASCII, browser and gateway may disagree on what a
      // letter is, so all symbols with other characters are refused.
      if (problem.code === "malformed_symbol")
        for (const symbol of carrying.symbols) if (/[^\x21-\x7e]/.test(symbol)) unknown[symbol] ??= [];
      for (const [symbol, suggestions] of Object.entries(unknown)) {
        // The gateway answers with full symbols. If this one was not asked for in full, it was asked for without its quote.
        const name = [symbol, ...symbol.split("-")].find((one) => carrying.symbols.includes(one)) ?? symbol;
        tellRefused(name, isUnlisted ? { code: "unknown_symbol", message: `nobody lists ${symbol}`, suggestions } : news);
        refused.set(name, { at: Date.now(), forMs: isUnlisted ? LONGEST_WAIT_MS : PATIENCE_MS });
      }
      if (carrying.symbols.some((symbol) => refused.has(symbol))) {
        return startOver(); // the gateway answered for none of the symbols: request those that are left
      }
      if (read && !fail) askNotBefore = Date.now() + waitMs;
    } catch {
      // The server did not answer, or its answer cannot be read. `news` holds the error already.
    } finally {
      clearTimeout(timer);
    }
    if (fail) fail(news, status);
    else if (!current) tellLink(news);
    return waitMs;
  }

  /** Open a new stream as soon as the pace allows, and request all prices. */
  function startOver() {
    failures = 0;
    asked = [];
    later();
  }

  /**
   * If the page was asleep, close the stream, start over, and return true. The old stream would deliver a backlog of old
   * prices, which look new.
   */
  function startedAnew(): boolean {
    const wasAsleep = since(lookedAt) > ASLEEP_MS;
    lookedAt = Date.now();
    if (!wasAsleep) return false;
    current?.close();
    current = null;
    askNotBefore = paceAt = 0; // if the clock was set back, these would be far in the future
    startOver();
    return true;
  }

  return {
    want(wants) {
      if (!wanted.symbols.length) lookedAt = Date.now();
      if (`${wants.fields}` !== `${wanted.fields}`) asked = [];
      wanted = wants;
      for (const symbol of refused.keys()) if (!wanted.symbols.includes(symbol)) refused.delete(symbol);
      for (const symbol of unrefused().slice(MOST_SYMBOLS))
        tellRefused(symbol, { code: "too_many_symbols", message: `more than ${MOST_SYMBOLS} symbols` });
      clearTimeout(lessening);
      if (!wanted.symbols.length) return open();
      const streamed = streamable();
      if (asStream(streamed) === carried) return;
      const isLess = asStream(joined([carrying, streamed])) === carried;
      if (isLess) lessening = setTimeout(() => retry || later(), LESS_AFTER_MS);
      else if (!retry) later();
      else askedAt = 0; // the next attempt opens the new set; until then, let `look` poll its prices at once
    },
    wake(anew) {
      if (!wanted.symbols.length) return;
      if (anew || (!next && (!current || since(heardAt) > beatMs))) {
        if (anew) {
          refused.clear();
          askNotBefore = paceAt = 0;
        }
        delivered = "";
        startOver();
      } else if (since(askedAt) > PACE_MS) ask();
    },
    async get(symbol, path) {
      if (getting.has(path)) return;
      getting.add(path);
      const from = current && unbroken;
      const answer = {
        symbol,
        path,
        at: Date.now(),
        body: undefined as unknown,
        error: null as RealtimeError | null,
        status: 0,
      };
      const waitMs = await request(
        baseUrl + path,
        (body) => {
          answer.body = body;
        },
        (error, status) => {
          answer.error = error;
          answer.status = status;
        },
      );
      getting.delete(path);
      tell("answer", { ...answer, waitMs: positive(waitMs), since: current && from === unbroken ? from : 0 });
    },
    look() {
      if (startedAnew()) return;
      if (current && since(heardAt) > SILENT_BEATS * beatMs) lose(current);
      if (next && since(openedAt) > PATIENCE_MS) lose(next);
      if ((!current || retry) && since(askedAt) >= PATIENCE_MS) ask();
      const again = [...refused].filter(([, { at, forMs }]) => since(at) >= forMs); // an exchange may list one of them by now
      for (const [symbol] of again) refused.delete(symbol);
      if (again.length) later();
    },
  };
}
