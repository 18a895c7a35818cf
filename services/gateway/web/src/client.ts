/** What a page knows of prices: one store per symbol, fed by one stream. Knows no React. */
import { since } from "./stream.ts";
import { shareStream } from "./tabs.ts";
import type {
  ConnectionState,
  FeedStatus,
  News,
  RealtimeClient,
  RealtimeError,
  Status,
  Store,
  SymbolState,
  Ticker,
  TickerMessage,
} from "./types.ts";

export type * from "./types.ts";

const FRESH_MS = 5000; // a live price is repeated each second
const YIELDS_AFTER_MS = 2 * FRESH_MS;
const LIVE_QUALITIES = new Set(["ok", "single", "disputed"]);
const GRACE_MS = 4000; // a stream that is back within this was never away; a server that goes asks for up to three seconds
const UNREACHABLE_MS = 30_000;
const REST_AFTER_MS = 300_000; // a page that nobody has looked at for so long lets go
const HIDDEN_FRAME_MS = 250;
const LOOK_MS = 1000;

type Timer = ReturnType<typeof setTimeout> | undefined;

/** One symbol: what is known of it, and who wants to know. */
interface Entry {
  readonly symbol: string;
  /** Whether it could be one; if not, nobody is asked. */
  readonly isSymbol: boolean;
  readonly store: Store<SymbolState>;
  hear(message: TickerMessage, heardAt: number): void;
  refuse(error: RealtimeError): void;
  /** Make the state of this moment, and tell if it differs. */
  settle(): void;
}

/** The state of a symbol that nobody asks for, and of all of them on a server. */
export const IDLE: SymbolState = Object.freeze({
  ticker: null,
  latest: null,
  heardAt: null,
  status: "idle",
  isConnected: false,
  error: null,
});
/** A store that says so. */
export const IDLE_STORE: Store<SymbolState> = {
  subscribe: () => () => {},
  getSnapshot: () => IDLE,
  getServerSnapshot: () => IDLE,
};
const NO_CONNECTION: ConnectionState = Object.freeze({ status: "idle", exchanges: Object.freeze({}), simulated: false });

/** Return our spelling of a symbol (`btc` is `BTC-USDT`), or null if the text is none. */
export function normalizeSymbol(text: string): string | null {
  const symbol = text.trim().toUpperCase();
  const full = symbol.includes("-") ? symbol : `${symbol}-USDT`;
  return /^[\p{L}\p{N}]{1,32}-[\p{L}\p{N}]{1,32}$/u.test(full) ? full : null;
}

/**
 * Return how old a symbol's price is, in milliseconds: since any exchange last confirmed it. Null while none is known.
 * The gateway's clock and this browser's need not agree: each measures its own part of the time.
 */
export function tickerAge({ latest, heardAt }: SymbolState, now = Date.now()): number | null {
  if (!latest?.sources.length || heardAt === null) return null;
  return Math.min(...latest.sources.map((source) => source.ageMs)) + Math.max(0, now - heardAt);
}

/**
 * Tell whether a message, made known at a time, is news after another. A higher number is, unless it was made well before;
 * a lower one that was made later is what counting begun anew looks like; and what was not renewed for long yields to anything.
 */
function supersedes(message: TickerMessage, at: number, known: TickerMessage | null, knownAt: number): boolean {
  if (!known || at - knownAt > YIELDS_AFTER_MS) return true;
  const laterMs = message.aggregatedTime - known.aggregatedTime;
  if (message.seq === known.seq) return at >= knownAt; // the gateway repeats a ticker that has become stale
  return message.seq > known.seq ? laterMs > -FRESH_MS : laterMs > 0;
}

function withPrice(message: TickerMessage | null): Ticker | null {
  if (!message || message.price === null) return null;
  const { price, change24h, changePercent24h } = message;
  return Object.freeze({
    ...message,
    price,
    change24h: change24h ?? Number.NaN,
    changePercent24h: changePercent24h ?? Number.NaN,
  });
}

const REGISTRY = Symbol.for("market-pulse/realtime.v1");
const page: typeof globalThis & { [REGISTRY]?: Map<string, RealtimeClient> } = globalThis;
/** The clients of this page, by their gateway: one for all, even if bundling made several copies of this module. */
function registry(): Map<string, RealtimeClient> {
  page[REGISTRY] ??= new Map();
  return page[REGISTRY];
}

export interface ClientOptions {
  /** Where the gateway is, without a slash at the end; "" is this page's own origin. */
  readonly baseUrl?: string;
  /** The key that the gateway wants, if it wants one. Whoever can read the page can read it. */
  readonly apiKey?: string | undefined;
}

/** Return a client of its own. Most pages want {@link realtimeClient}, which all parts of a page share. */
export function createRealtimeClient({ baseUrl = "", apiKey }: ClientOptions = {}): RealtimeClient {
  const entries = new Map<string, Entry>();
  const active = new Set<Entry>(); // those that somebody listens to
  const changed = new Set<Entry>(); // those with news since the last frame
  const feed = shareStream(baseUrl, hear, apiKey);
  let link: Extract<News, { type: "link" }> = { type: "link", up: false, simulated: false, error: null };
  let downSince = 0;
  let hasBeenUp = false;
  let isResting = false;
  let exchanges: Readonly<Record<string, FeedStatus>> = NO_CONNECTION.exchanges;
  let connection = NO_CONNECTION;
  const connectionListeners = new Set<() => void>();
  let supplying: Timer;
  let resting: Timer;
  let clock: Timer;
  let frame: number | Timer;

  /** How the stream is doing, whatever it carries. */
  function linkStatus(): Status {
    if (!active.size) return "idle";
    const downMs = link.up ? 0 : since(downSince);
    if (navigator.onLine === false || downMs > UNREACHABLE_MS) return "offline";
    if (!hasBeenUp && !link.up) return "connecting";
    return downMs > GRACE_MS ? "reconnecting" : "live";
  }

  function makeEntry(symbol: string): Entry {
    const listeners = new Set<() => void>();
    let state = IDLE;
    let latest: TickerMessage | null = null;
    let heardAt = 0;
    const isSymbol = normalizeSymbol(symbol) !== null;
    let refusal: RealtimeError | null = isSymbol
      ? null
      : { code: "unknown_symbol", message: `${symbol} is no symbol: write BTC or ETH-BTC` };

    function statusNow(): Status {
      const status = linkStatus();
      if (!listeners.size || status === "idle") return "idle";
      if (refusal) return "offline";
      if (status !== "live") return status;
      if (!latest) return "connecting";
      const isBacked = latest.price !== null && LIVE_QUALITIES.has(latest.quality);
      return isBacked && since(heardAt) < FRESH_MS ? "live" : "stale";
    }

    const entry: Entry = {
      symbol,
      isSymbol,
      hear(message, at) {
        if (!supersedes(message, at, latest, heardAt)) return;
        [latest, heardAt, refusal] = [message, at, null];
        changed.add(entry);
      },
      refuse(error) {
        refusal = error;
        changed.add(entry);
      },
      settle() {
        const status = statusNow();
        // A gateway that does not answer for a moment is none; what it refuses stays refused.
        const isTrouble = status === "reconnecting" || status === "offline" || link.error?.code !== "unreachable";
        const error = refusal ?? (isTrouble ? link.error : null);
        if (latest === state.latest && status === state.status && error === state.error) return;
        const ticker = latest === state.latest ? state.ticker : withPrice(latest);
        state = Object.freeze({ ticker, latest, heardAt: latest && heardAt, status, isConnected: status === "live", error });
        for (const listener of listeners) listener();
      },
      store: {
        subscribe(listener) {
          const own = () => listener(); // the same function may be handed in twice
          listeners.add(own);
          if (listeners.size === 1) activate(entry);
          return () => {
            if (listeners.delete(own) && !listeners.size) deactivate(entry);
          };
        },
        getSnapshot: () => state,
        getServerSnapshot: () => IDLE,
      },
    };
    return entry;
  }

  function activate(entry: Entry) {
    active.add(entry);
    if (active.size === 1) start();
    entry.settle();
    supplySoon();
  }

  function deactivate(entry: Entry) {
    active.delete(entry);
    entry.settle();
    if (!active.size) stop();
    supplySoon();
  }

  /** Ask for what is wanted when this turn is over: a page mounts, unmounts and remounts many components at once. */
  function supplySoon() {
    if (!supplying) supplying = setTimeout(supply);
  }

  function supply() {
    supplying = undefined;
    const wanted = isResting ? [] : [...active].filter((entry) => entry.isSymbol);
    feed.want(wanted.map((entry) => entry.symbol));
  }

  function hear(news: News) {
    switch (news.type) {
      case "ticker":
        entries.get(news.data.symbol)?.hear(news.data, news.heardAt);
        break;
      case "refused":
        entries.get(news.symbol)?.refuse(news.error);
        break;
      case "status":
        exchanges = Object.freeze({ ...exchanges, [news.data.exchange]: news.data });
        break;
      case "link":
        if (link.up && !news.up) downSince = Date.now();
        if (!link.up && news.up) exchanges = NO_CONNECTION.exchanges; // the gateway tells of all that it knows
        link = news;
        hasBeenUp ||= news.up;
        for (const entry of active) changed.add(entry);
        break;
      default:
        return;
    }
    // Once per frame, however much comes. A hidden page has no frames.
    if (!frame) frame = document.hidden ? setTimeout(settle, HIDDEN_FRAME_MS) : requestAnimationFrame(settle);
  }

  /** Bring the states of what has changed up to date, and tell who listens. */
  function settle() {
    frame = undefined;
    const due = [...changed];
    changed.clear();
    for (const entry of due) entry.settle();
    settleConnection();
  }

  function settleConnection() {
    const status = linkStatus();
    const simulated = link.simulated || Object.values(exchanges).some((one) => one.simulated);
    if (status === connection.status && exchanges === connection.exchanges && simulated === connection.simulated) return;
    connection = Object.freeze({ status, exchanges, simulated });
    for (const listener of connectionListeners) listener();
  }

  /** Each second: what was not renewed is not live any more. */
  function look() {
    for (const entry of active) changed.add(entry);
    settle();
  }

  /** Let go of the stream, but not of who listens. */
  function rest() {
    isResting = true;
    supply();
  }

  function wake() {
    look();
    if (!isResting) return feed.wake(false);
    if (document.hidden) return;
    isResting = false;
    downSince = Date.now();
    supply();
  }

  function onVisibility() {
    clearTimeout(resting);
    if (document.hidden) resting = setTimeout(rest, REST_AFTER_MS);
    else wake();
  }

  const reactions: readonly (readonly [EventTarget, string, () => unknown])[] =
    typeof document === "undefined"
      ? []
      : [
          [document, "visibilitychange", onVisibility],
          [globalThis, "pageshow", () => isResting && wake()], // back from where it was put away; else it has only loaded
          [globalThis, "pagehide", rest], // so that the browser may keep the page for the way back
          [globalThis, "online", wake],
          [globalThis, "offline", look],
        ];

  function start() {
    downSince = Date.now();
    clock = setInterval(look, LOOK_MS);
    if (document.hidden) onVisibility();
    for (const [target, name, reaction] of reactions) target.addEventListener(name, reaction);
  }

  function stop() {
    clearInterval(clock);
    clearTimeout(resting);
    for (const [target, name, reaction] of reactions) target.removeEventListener(name, reaction);
    isResting = false;
    hasBeenUp = false;
    settleConnection();
  }

  const client: RealtimeClient = {
    symbol(text) {
      if (typeof document === "undefined") return IDLE_STORE; // a server's client must not grow with what visitors ask for
      const symbol = normalizeSymbol(text) ?? text;
      const entry = entries.get(symbol) ?? makeEntry(symbol);
      entries.set(symbol, entry);
      return entry.store;
    },
    connection: {
      subscribe(listener) {
        const own = () => listener();
        connectionListeners.add(own);
        return () => connectionListeners.delete(own);
      },
      getSnapshot: () => connection,
      getServerSnapshot: () => NO_CONNECTION,
    },
    reconnect: () => feed.wake(true),
    close() {
      const closed = [...active];
      active.clear();
      for (const entry of closed) entry.settle();
      stop();
      feed.want([]);
      if (registry().get(baseUrl) === client) registry().delete(baseUrl);
    },
  };
  return client;
}

/** Return the one client for a gateway that all parts of a page share. */
export function realtimeClient(baseUrl = ""): RealtimeClient {
  const client = registry().get(baseUrl) ?? createRealtimeClient({ baseUrl });
  registry().set(baseUrl, client);
  return client;
}
