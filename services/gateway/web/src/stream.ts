/**
 * One stream of prices that does not give up: opens an EventSource, watches it, replaces it, and asks by REST meanwhile.
 *
 * A native EventSource gives up for good after any answer but 200, and does not notice a connection that died in its sleep.
 * So each one here is used until it fails or falls silent; then comes a new one, after a delay that grows.
 */
import type { Feed, News, Problem, RealtimeError, StreamEvent, TickerMessage } from "./types.ts";
import { isStatus, isTicker } from "./wire.ts";

/** The most symbols that the gateway takes in one request. */
export const MOST_SYMBOLS = 100;
const POLL_MS = 10_000;
const OPEN_WITHIN_MS = 10_000;
const PROVEN_AFTER_MS = 10_000; // only a stream that has lived so long earns short delays again
const LONGEST_DELAY_MS = 30_000;
const LONGEST_WAIT_MS = 300_000; // however long a server asks for
const LISTED_AGAIN_MS = 300_000; // when a symbol that nobody listed is asked for again
const SILENT_BEATS = 2.5;
const LOOK_MS = 1000;
const ASLEEP_MS = 5000;
const JUST_OPENED_MS = 1000;
const NONSENSE: RealtimeError = { code: "bad_data", message: "the gateway does not answer as one" };
const BEAT_MS = 15_000;
const LONGEST_BEAT_MS = 60_000;

/** How long ago a moment was. A clock that was set back makes it long ago too: nothing may wait for it to catch up. */
export const since = (time: number): number => Math.abs(Date.now() - time);

/** Return how long to wait after this many failures in a row: exponential, capped, with full jitter. */
export function backoffMs(failures: number): number {
  return Math.random() * Math.min(LONGEST_DELAY_MS, 1000 * 2 ** (failures - 1));
}

/** Open a stream from a gateway ("" is this page's own origin), with a key if it wants one. All that it learns goes to `tell`. */
export function openStream(baseUrl: string, tell: (news: News) => void, apiKey = ""): Feed {
  let wanted: readonly string[] = [];
  const refused = new Set<string>();
  let current: EventSource | null = null; // the one that delivers
  let next: EventSource | null = null; // the one that is to take over
  let carried = ""; // what the newest of them was asked for
  let lastEventId = "";
  let simulated = false;
  let error: RealtimeError | null = null;
  let beatMs = BEAT_MS;
  let failures = 0;
  let [heardAt, askedAt, openedAt, lookedAt, refusedAt, dueAt, notBefore] = [0, 0, 0, 0, 0, 0, 0];
  let retry: ReturnType<typeof setTimeout> | undefined;
  let watch: ReturnType<typeof setInterval> | undefined;

  const unrefused = () => wanted.filter((symbol) => !refused.has(symbol));
  const streamable = () => unrefused().slice(0, MOST_SYMBOLS).sort();
  const asQuery = (symbols: readonly string[]) => encodeURIComponent(symbols.join(","));
  const streamUrl = () => `${baseUrl}/api/realtime?symbols=${carried}${apiKey && `&api_key=${encodeURIComponent(apiKey)}`}`;

  function tellLink(news: RealtimeError | null = error) {
    error = news;
    tell({ type: "link", up: !!current, simulated, error });
  }

  /** Pass a ticker on. `heardAt` is when it was surely the newest. */
  function take(ticker: TickerMessage, heardAt: number) {
    if (!isTicker(ticker)) throw new Error();
    tell({ type: "ticker", data: ticker, heardAt });
  }

  function open() {
    clearTimeout(retry);
    retry = undefined;
    next?.close();
    next = null;
    carried = asQuery(streamable());
    if (!watch) lookedAt = Date.now();
    watch ??= setInterval(look, LOOK_MS);
    if (!carried) return stop();
    if (!current) tellLink();
    if (Date.now() < notBefore) return later(0);
    openedAt = Date.now();
    let source: EventSource;
    try {
      source = new EventSource(streamUrl() + (lastEventId && `&last_event_id=${encodeURIComponent(lastEventId)}`));
    } catch {
      tellLink({ code: "unreachable", message: `${baseUrl} is no address of a gateway` });
      return later(LONGEST_DELAY_MS);
    }
    next = source;
    source.onmessage = (event) => {
      if (startedAnew()) return;
      heardAt = Date.now();
      lastEventId = event.lastEventId || lastEventId;
      try {
        handle(source, JSON.parse(event.data));
        if (error?.code === "bad_data") tellLink(null);
      } catch {
        tellLink(NONSENSE);
      }
    };
    source.addEventListener("hb", () => {
      heardAt = Date.now();
      tell({ type: "beat" });
    });
    source.onerror = () => lose(source);
  }

  function handle(source: EventSource, event: StreamEvent) {
    switch (event.type) {
      case "connected":
        if (source !== next) break;
        current?.close(); // only now: the new one delivers
        [current, next] = [source, null];
        simulated = event.data.simulated;
        beatMs = event.data.heartbeatMs > 0 ? Math.min(event.data.heartbeatMs, LONGEST_BEAT_MS) : BEAT_MS;
        tellLink(null);
        break;
      case "ticker":
        take(event.data, heardAt);
        break;
      case "status":
        if (!isStatus(event.data)) throw new Error();
        tell(event);
        break;
      case "bye": // the server spreads its clients' return over a while
        lose(source, event.data?.retryMs);
    }
  }

  /** Drop a stream that ended or must end, and have another one after a while. */
  function lose(source: EventSource, delayMs?: number) {
    const wasRefused = source.readyState === EventSource.CLOSED;
    source.close();
    if (source === next) next = null;
    else if (source === current) {
      current = null;
      if (since(openedAt) > PROVEN_AFTER_MS) failures = 0;
      tellLink();
    } else return;
    if (next) return; // it takes over anyway
    later(Number(delayMs) > 0 ? Number(delayMs) : backoffMs(++failures));
    if (wasRefused) explain();
  }

  function later(delayMs: number) {
    clearTimeout(retry);
    const waitMs = Math.min(Math.max(delayMs, notBefore - Date.now()), LONGEST_WAIT_MS);
    dueAt = Date.now() + waitMs;
    retry = setTimeout(() => {
      notBefore = 0;
      open();
    }, waitMs);
  }

  /** An EventSource does not say why it was refused: ask as a plain request does, and let go of the answer if it is a stream. */
  async function explain() {
    const response = await request(streamUrl());
    response?.body?.cancel().catch(() => {});
  }

  /** Ask for the newest tickers by REST. */
  async function ask(symbols = streamable()) {
    if (!symbols.length) return;
    const at = Date.now();
    askedAt = at;
    const response = await request(`${baseUrl}/api/ticker?symbols=${asQuery(symbols)}`);
    try {
      for (const ticker of (await response?.json())?.tickers ?? []) take(ticker, at);
    } catch {
      if (!current) tellLink(NONSENSE);
    }
  }

  /** Return the response, if it is a good one; else learn what is wrong. */
  async function request(url: string): Promise<Response | undefined> {
    let news: RealtimeError;
    try {
      const headers: HeadersInit = apiKey ? { "X-API-Key": apiKey } : {};
      const response = await fetch(url, { headers, signal: AbortSignal.timeout(POLL_MS) });
      if (response.ok) return response;
      notBefore = Date.now() + Math.min(1000 * (Number(response.headers.get("Retry-After")) || 0), LONGEST_WAIT_MS);
      if (retry && notBefore > dueAt) later(0);
      const problem: Problem = await response.json();
      if (problem.code === "unknown_symbol") return void refuse(problem.suggestions ?? {});
      // Which one it means is not said; of letters beyond ASCII, browser and gateway may know different ones.
      const strange = streamable().filter((symbol) => /[^\x21-\x7e]/.test(symbol));
      if (problem.code === "malformed_symbol" && strange.length)
        return void refuse(Object.fromEntries(strange.map((symbol) => [symbol, []])));
      const codes: Record<number, RealtimeError["code"]> = { 401: "unauthorized", 429: "rate_limited" };
      news = { code: codes[response.status] ?? "unreachable", message: problem.detail };
    } catch {
      news = { code: "unreachable", message: "the gateway does not answer" };
    }
    if (!current) tellLink(news);
  }

  function refuse(unknown: Record<string, readonly string[]>) {
    refusedAt = Date.now();
    for (const [symbol, suggestions] of Object.entries(unknown)) {
      refused.add(symbol);
      tell({ type: "refused", symbol, error: { code: "unknown_symbol", message: `nobody lists ${symbol}`, suggestions } });
    }
    if (asQuery(streamable()) === carried) return;
    failures = 0;
    open();
    ask();
  }

  /** A page that was asleep finds a backlog of old prices, which look new. Leave it, and begin with a new stream. */
  function startedAnew(): boolean {
    const wasAsleep = since(lookedAt) > ASLEEP_MS;
    lookedAt = Date.now();
    if (!wasAsleep) return false;
    current?.close();
    current = null;
    failures = notBefore = 0;
    open();
    ask();
    return true;
  }

  /** Each second: replace a stream that has fallen silent or does not open, and poll while there is none. */
  function look() {
    if (startedAnew()) return;
    if (current && since(heardAt) > SILENT_BEATS * beatMs) lose(current);
    if (next && since(openedAt) > OPEN_WITHIN_MS) lose(next);
    if (!current && since(askedAt) >= POLL_MS && Date.now() >= notBefore) ask();
    if (refused.size && since(refusedAt) >= LISTED_AGAIN_MS) {
      refused.clear(); // somebody may list one by now
      open();
    }
  }

  /** Let go of the stream, and of the watch too, unless it will ask for what is refused by now. */
  function stop() {
    if (!refused.size) {
      clearInterval(watch);
      watch = undefined;
    }
    current?.close();
    current = null;
    failures = 0;
    tellLink(null);
  }

  return {
    want(symbols) {
      const known = new Set(wanted);
      wanted = symbols;
      for (const symbol of refused) if (!wanted.includes(symbol)) refused.delete(symbol);
      for (const symbol of unrefused().slice(MOST_SYMBOLS))
        tell({
          type: "refused",
          symbol,
          error: { code: "too_many_symbols", message: `more than ${MOST_SYMBOLS} symbols` },
        });
      if (asQuery(streamable()) === carried && symbols.length) return;
      if (!retry || current || !symbols.length) open(); // else the attempt that is due will ask for what is wanted then
      ask(streamable().filter((symbol) => !known.has(symbol)));
    },
    wake(anew) {
      if (!wanted.length) return;
      const isOpening = next && since(openedAt) < JUST_OPENED_MS;
      if (anew || (!isOpening && (!current || since(heardAt) > beatMs))) {
        if (anew) refused.clear();
        failures = notBefore = 0;
        open();
      }
      ask();
    },
  };
}
