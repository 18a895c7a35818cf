/**
 * One stream of prices that does not give up: opens an EventSource, watches it, replaces it, and asks by REST meanwhile.
 *
 * A native EventSource gives up for good after any answer but 200, and does not notice a connection that died in its sleep.
 * So each one here is used until it fails or falls silent; then comes a new one, after a delay that grows.
 */
import type {
  EventSourceLike,
  Feed,
  Problem,
  RealtimeClientOptions,
  RealtimeError,
  StreamEvent,
  Tell,
  TickerMessage,
} from "./types.ts";
import { isStatus, isTicker } from "./wire.ts";

/** The most symbols that the gateway takes in one request. */
export const MOST_SYMBOLS = 100;
const PATIENCE_MS = 10_000; // between polls, for an answer or a stream's first word, and until a stream is proven
const LONGEST_DELAY_MS = 30_000;
const LONGEST_WAIT_MS = 300_000; // however long a server asks for, and until a symbol that nobody listed is asked for again
const PACE_MS = 200; // between streams, however often the symbols change; with the burst, at most ten in any second
const BURST = 5;
const SILENT_BEATS = 2.5;

const ASLEEP_MS = 5000;
const NONSENSE: RealtimeError = { code: "bad_data", message: "no gateway there" };
const BEAT_MS = 15_000;
const LONGEST_BEAT_MS = 60_000;

/** How long ago a moment was. A clock that was set back makes it long ago too: nothing may wait for it to catch up. */
export const since = (time: number): number => Math.abs(Date.now() - time);

/** Return how long to wait after this many failures in a row: exponential, capped, with full jitter. */
export function backoffMs(failures: number): number {
  return Math.random() * Math.min(LONGEST_DELAY_MS, 1000 * 2 ** (failures - 1));
}

/** Return a received value if it is a number above zero, else 0. */
const positive = (told: unknown): number => Math.max(0, Number(told)) || 0;

/** Return what a refusal means. */
function errorOf({ detail }: Problem, status: number): RealtimeError {
  const code = status === 429 ? "rate_limited" : status === 401 ? "unauthorized" : status < 500 ? "unreachable" : "busy";
  return { code, message: `${detail}` };
}

/** Open a stream from a gateway ("" is this page's own origin), with a key if it wants one. All that it learns goes to `tell`. */
export function openStream({ baseUrl = "", apiKey = "", EventSource: Given }: RealtimeClientOptions, tell: Tell): Feed {
  // The symbols: all that the page wants, those that nobody lists, and those whose first price has been asked for.
  let wanted: readonly string[] = [];
  const refused = new Set<string>();
  let asked: readonly string[] = [];

  // The streams. While one takes over from another, there are two.
  let current: EventSourceLike | null = null; // the one that delivers
  let next: EventSourceLike | null = null; // the one that is to take over
  let carried = ""; // the symbols that the newest of them was asked for
  let delivered = ""; // the symbols that the one that delivers was asked for
  let retry: ReturnType<typeof setTimeout> | undefined; // while the next attempt is waited for

  // Told by the gateway.
  let lastEventId = ""; // with it a new stream goes on where the last one ended
  let simulated = false;
  let beatMs = BEAT_MS; // between heartbeats

  // Faults: the newest one, and how many streams failed in a row.
  const unreachable: RealtimeError = { code: "unreachable", message: `${baseUrl}/api does not answer` };
  let error: RealtimeError | null = null;
  let failures = 0;

  // The clocks: Unix milliseconds, 0 for long ago.
  let heardAt = 0; // when the stream last said anything
  let askedAt = 0; // when prices were last asked for by REST
  let openedAt = 0; // when the newest stream was opened
  let lookedAt = 0; // when this code last ran; it was asleep if that is long ago
  let refusedAt = 0; // when a symbol was last refused because nobody lists it
  let askNotBefore = 0; // until when the gateway wants no REST request
  let paceAt = 0; // when as many streams as were opened would have been, one at each pace

  const unrefused = () => wanted.filter((symbol) => !refused.has(symbol));
  const streamable = () => unrefused().slice(0, MOST_SYMBOLS).sort();
  const asQuery = (symbols: readonly string[]) => encodeURIComponent(symbols.join(","));
  const streamUrl = () => `${baseUrl}/api/realtime?symbols=${carried}${apiKey && `&api_key=${encodeURIComponent(apiKey)}`}`;

  function tellLink(news: RealtimeError | null = error) {
    error = news;
    tell("link", { up: !!current, simulated, error });
  }

  function tellRefused(symbol: string, error: RealtimeError | null) {
    tell("refused", { symbol, error });
  }

  /** Pass a ticker on. `heardAt` is when it was surely the newest. */
  function take(data: TickerMessage, heardAt: number) {
    if (!isTicker(data)) throw new Error();
    tell("ticker", data, heardAt);
  }

  /** Open a stream of the symbols wanted at that moment, unless the current stream carries them. Ask for new symbols' first prices, too. */
  function open(): void {
    clearTimeout(retry);
    retry = undefined;
    next?.close();
    next = null;
    const symbols = streamable();
    carried = asQuery(symbols);
    if (!carried) {
      current?.close();
      current = null;
      asked = [];
      tellLink(null);
      return;
    }
    ask(symbols.filter((symbol) => !asked.includes(symbol)));
    asked = symbols;
    if (current && carried === delivered) return;
    if (!current) tellLink();
    openedAt = Date.now();
    paceAt = Math.max(paceAt, openedAt) + PACE_MS;
    let source: EventSourceLike;
    try {
      const url = streamUrl() + (lastEventId && `&last_event_id=${encodeURIComponent(lastEventId)}`);
      source = new (Given ?? EventSource)(url);
    } catch {
      tellLink(unreachable); // that is no address
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
      current?.close(); // only now: the new one delivers
      [current, next] = [source, null];
      delivered = carried;
      simulated = data.simulated;
      beatMs = Math.min(positive(data.heartbeatMs) || BEAT_MS, LONGEST_BEAT_MS);
      for (const symbol of streamable()) tellRefused(symbol, null); // it says anew for which there is no room
      tellLink(null);
    } else if (type === "ticker") take(data, heardAt);
    else if (type === "status") {
      if (!isStatus(data)) throw new Error();
      tell(type, data);
    } else if (type === "room") tellRefused(data.symbol, data.room ? null : { code: "no_room", message: `${data.detail}` });
    else if (type === "refused" || type === "bye") {
      lose(source, data?.retryMs); // the server spreads its clients' return over a while
      if (type === "refused" && !current) tellLink(errorOf(data, data.status));
    }
  }

  /** Drop a stream that ended or must end, and have another one after a while. */
  async function lose(source: EventSourceLike, delayMs?: number) {
    const isRefused = source.readyState === 2;
    source.close();
    if (source === next) next = null;
    else if (source === current) {
      current = null;
      if (since(openedAt) > PATIENCE_MS) failures = 0; // it was a good one
      tellLink();
    } else return;
    let waitMs = positive(delayMs) || backoffMs(++failures);
    if (isRefused) waitMs = positive(await request(streamUrl())) || waitMs; // an EventSource does not say why
    if (carried && !next && !retry) later(waitMs); // else another one is on its way
  }

  function later(delayMs = 0): void {
    clearTimeout(retry);
    retry = undefined;
    const waitMs = Math.min(Math.max(delayMs, paceAt - (BURST - 1) * PACE_MS - Date.now()), LONGEST_WAIT_MS);
    if (waitMs > 0) retry = setTimeout(open, waitMs);
    else open();
  }

  /** Ask for the newest tickers by REST. */
  function ask(symbols: readonly string[] = streamable()) {
    const at = Date.now();
    if (!symbols.length || at < askNotBefore) return;
    askedAt = at;
    request(`${baseUrl}/api/ticker?symbols=${asQuery(symbols)}`, ({ tickers }) => {
      for (const ticker of tickers) take(ticker, at);
    });
  }

  /**
   * Have a good answer read, or learn what is wrong, and for how many milliseconds nobody shall ask again. Without a reader it
   * is a stream's: what it says is let go.
   */
  async function request(url: string, read?: (answer: { tickers: readonly TickerMessage[] }) => void): Promise<unknown> {
    let news = unreachable;
    let waitMs = 0;
    const end = new AbortController();
    const timer = setTimeout(() => end.abort(), PATIENCE_MS);
    try {
      const response = await fetch(url, { headers: apiKey ? { "X-API-Key": apiKey } : {}, signal: end.signal });
      if (response.ok) {
        if (!read) return end.abort();
        news = NONSENSE;
        return read(await response.json());
      }
      waitMs = Math.min(1000 * positive(response.headers.get("Retry-After")), LONGEST_WAIT_MS);
      if (read) askNotBefore = Date.now() + waitMs;
      const problem: Problem = await response.json();
      const unknown = problem.suggestions ?? {};
      // Which one is malformed is not always said; of letters beyond ASCII, browser and gateway may know different ones.
      if (problem.code === "malformed_symbol")
        for (const symbol of streamable()) if (/[^\x21-\x7e]/.test(symbol)) unknown[symbol] ??= [];
      for (const [symbol, suggestions] of Object.entries(unknown)) {
        tellRefused(symbol, {
          code: "unknown_symbol",
          message: `nobody lists ${symbol}`,
          suggestions,
        });
        refused.add(symbol);
        refusedAt = Date.now();
      }
      if (asQuery(streamable()) !== carried) {
        return startOver(); // the others were not answered either
      }
      news = errorOf(problem, response.status);
    } catch {
      // It did not answer, or not as it should.
    } finally {
      clearTimeout(timer);
    }
    if (!current) tellLink(news);
    return waitMs;
  }

  /** Have a new stream as soon as may be, and ask for all prices. */
  function startOver() {
    failures = 0;
    asked = [];
    later();
  }

  /** A page that was asleep finds a backlog of old prices, which look new. Leave it, and begin with a new stream. */
  function startedAnew(): boolean {
    const wasAsleep = since(lookedAt) > ASLEEP_MS;
    lookedAt = Date.now();
    if (!wasAsleep) return false;
    current?.close();
    current = null;
    askNotBefore = paceAt = 0; // a clock that was set back must hold nothing up
    startOver();
    return true;
  }

  return {
    want(symbols) {
      if (!wanted.length) lookedAt = Date.now();
      wanted = symbols;
      for (const symbol of refused) if (!wanted.includes(symbol)) refused.delete(symbol);
      for (const symbol of unrefused().slice(MOST_SYMBOLS))
        tellRefused(symbol, { code: "too_many_symbols", message: `more than ${MOST_SYMBOLS} symbols` });
      if (!symbols.length) return open();
      if (asQuery(streamable()) === carried) return;
      if (!retry) later();
      else askedAt = 0; // the attempt that is due will open what is wanted then; prices need not wait for it
    },
    wake(anew) {
      if (!wanted.length) return;
      if (anew || (!next && (!current || since(heardAt) > beatMs))) {
        if (anew) {
          refused.clear();
          askNotBefore = paceAt = 0;
        }
        delivered = "";
        startOver();
      } else if (since(askedAt) > PACE_MS) ask();
    },
    look() {
      if (startedAnew()) return;
      if (current && since(heardAt) > SILENT_BEATS * beatMs) lose(current);
      if (next && since(openedAt) > PATIENCE_MS) lose(next);
      if ((!current || retry) && since(askedAt) >= PATIENCE_MS) ask();
      if (refused.size && since(refusedAt) >= LONGEST_WAIT_MS) {
        refused.clear(); // somebody may list one by now
        later();
      }
    },
  };
}
