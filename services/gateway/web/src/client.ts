/** What a page knows of prices: one store per symbol, fed by one stream. Knows no React. */
import { since } from "./stream.ts";
import { shareStream } from "./tabs.ts";
import type {
  ConnectionState,
  FeedStatus,
  Link,
  News,
  RealtimeClient,
  RealtimeClientOptions,
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
const GRACE_MS = 4000; // a stream that is back within this was never away; a server that goes asks for up to three seconds
const UNREACHABLE_MS = 30_000;
const REST_AFTER_MS = 300_000; // a page that nobody has looked at for so long lets go
const FRAMELESS_MS = 250;
const LOOK_MS = 1000;

type Timer = ReturnType<typeof setTimeout> | undefined;

/** One symbol: what is known of it, and who wants to know. */
interface Entry extends Store<SymbolState> {
  readonly symbol: string;
  hear(news: Extract<News, readonly ["ticker", ...unknown[]] | readonly ["refused", unknown]>): void;
  /** Make the state of this moment, and tell if it differs. */
  settle(): void;
}

/** The state of a symbol that nobody asks for, and of all of them on a server. */
export const IDLE: SymbolState = {
  ticker: null,
  latest: null,
  heardAt: null,
  status: "idle",
  isConnected: false,
  error: null,
};

/** Make a store that can be set. `onUse` is called when its first listener comes and when its last one goes. */
function makeStore<T>(initial: T, onUse?: (isUsed: boolean) => void) {
  let state = Object.freeze(initial);
  const listeners = new Set<() => void>();
  return {
    subscribe(listener: () => void) {
      const own = () => listener(); // the same function may be handed in twice
      listeners.add(own);
      if (listeners.size === 1) onUse?.(true);
      return () => {
        if (listeners.delete(own) && !listeners.size) onUse?.(false);
      };
    },
    getSnapshot: () => state,
    getServerSnapshot: () => initial,
    set(next: T) {
      state = Object.freeze(next);
      for (const listener of listeners) listener();
    },
  };
}

/** A store that says so. */
export const IDLE_STORE: Store<SymbolState> = makeStore(IDLE);
const NO_CONNECTION: ConnectionState = { status: "idle", exchanges: {}, simulated: false };

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

/** Whether a message has a price that sources back. A quality that is not known is none to trust. */
function isBacked({ price, quality }: TickerMessage): boolean {
  return price !== null && /^(ok|single|disputed)$/.test(quality);
}

function withPrice(message: TickerMessage | null): Ticker | null {
  if (message?.price == null) return null;
  const { price, change24h: change, changePercent24h: percent } = message;
  return Object.freeze({ ...message, price, change24h: change ?? Number.NaN, changePercent24h: percent ?? Number.NaN });
}

const REGISTRY = Symbol.for("market-pulse/realtime.v1");
const here: typeof globalThis & { [REGISTRY]?: Map<string, RealtimeClient> } = globalThis;
/** The clients of this page, by their gateway: one for all, even if bundling made several copies of this module. */
function registry(): Map<string, RealtimeClient> {
  here[REGISTRY] ??= new Map();
  return here[REGISTRY];
}

/** Return a client of its own. Most pages want {@link realtimeClient}, which all parts of a page share. */
export function createRealtimeClient(options: RealtimeClientOptions = {}): RealtimeClient {
  const { baseUrl = "" } = options;
  const page: Document | undefined = globalThis.document; // there is none in a worker
  const entries = new Map<string, Entry>();
  const active = new Set<Entry>(); // those that somebody listens to
  const changed = new Set<Entry>(); // those with news since the last frame
  const feed = shareStream(options, hear);
  let link: Link = { up: false, simulated: false, error: null }; // the stream, as it was told last
  let linkSince = 0; // when it opened or was lost
  let isTold: boolean | undefined; // of exchanges, since the stream was opened; not even false: it never was
  let exchanges: Readonly<Record<string, FeedStatus>> = NO_CONNECTION.exchanges; // the newest status of each
  const connection = makeStore(NO_CONNECTION);
  let isDue = false; // to be settled with the next frame
  let isResting = false; // the stream was let go, because nobody looks
  let supplying: Timer; // until the stream is told the symbols that are wanted
  let resting: Timer; // until a hidden page lets go of the stream
  let clock: Timer; // looks each second

  /** How the stream is doing, whatever it carries. */
  function linkStatus(): Status {
    if (!active.size) return "idle";
    const downMs = link.up || isResting ? 0 : since(linkSince);
    const code = link.error?.code ?? "unreachable"; // all others are of somebody who is there
    if (downMs > UNREACHABLE_MS && code === "unreachable") return "offline";
    if (isTold === undefined && !link.up) return "connecting";
    return downMs > GRACE_MS ? "reconnecting" : "live";
  }

  function makeEntry(symbol: string): Entry {
    let latest: TickerMessage | null = null;
    let heardAt = 0;
    let refusal: RealtimeError | null = normalizeSymbol(symbol) ? null : { code: "unknown_symbol", message: "not a symbol" };

    /**
     * Tell whether a message, made known at a time, is news after what is known. A higher number is, unless it was made well
     * before; a lower one that was made later is what counting begun anew looks like; and what was not renewed for long yields
     * to anything. Each publisher has a clock of its own, so the times of two say nothing.
     */
    function isNews({ seq, aggregatedTime, publisher }: TickerMessage, at: number): boolean {
      if (!latest || at - heardAt > YIELDS_AFTER_MS) return true;
      const laterMs = publisher === latest.publisher ? aggregatedTime - latest.aggregatedTime : 0;
      if (seq === latest.seq) return at >= heardAt; // the gateway repeats a ticker that has become stale
      return seq > latest.seq ? laterMs > -FRESH_MS : laterMs > 0;
    }

    const store = makeStore(IDLE, (isUsed) => {
      if (isUsed && active.add(entry).size === 1) start();
      if (!isUsed && active.delete(entry) && !active.size) stop();
      entry.settle();
      supplySoon();
    });
    const entry: Entry = Object.assign(store, {
      symbol,
      hear(news: Parameters<Entry["hear"]>[0]) {
        changed.add(entry);
        if (news[0] === "refused") refusal = news[1].error;
        else if (isNews(news[1], news[2])) {
          [, latest, heardAt] = news;
          if (isBacked(latest)) refusal = null;
        }
      },
      settle() {
        let status = linkStatus();
        if (!active.has(entry)) status = "idle";
        else if (refusal && refusal.code !== "no_room") status = "offline";
        else if (status === "live")
          if (!latest) status = "connecting";
          else if (!isBacked(latest) || since(heardAt) >= FRESH_MS) status = "stale";
        const error = refusal ?? (status !== "live" || link.error?.code === "bad_data" ? link.error : null);
        const state = store.getSnapshot();
        const isNew = latest !== state.latest;
        if (!isNew && status === state.status && error === state.error) return;
        const ticker = isNew ? withPrice(latest) : state.ticker;
        store.set({ ticker, latest, heardAt: latest && heardAt, status, isConnected: status === "live", error });
      },
    });
    return entry;
  }

  /** Ask for what is wanted when this turn is over: a page mounts, unmounts and remounts many components at once. */
  function supplySoon() {
    if (!supplying) supplying = setTimeout(supply);
  }

  function supply() {
    supplying = undefined;
    feed.want(isResting ? [] : [...active].map((entry) => entry.symbol).filter(normalizeSymbol));
  }

  function hear(...news: News) {
    const [type, data] = news;
    if (data && "symbol" in data) {
      for (const entry of active) if (entry.symbol === data.symbol) entry.hear(news as Parameters<Entry["hear"]>[0]);
    } else if (type === "status") {
      exchanges = Object.freeze({ ...(isTold ? exchanges : {}), [data.exchange]: data });
      isTold = true;
    } else if (data) {
      if (link.up !== data.up) linkSince = Date.now();
      if (!link.up && data.up) isTold = false; // the gateway tells of all exchanges that it knows
      link = { ...data, simulated: (data.up ? data : link).simulated };
      for (const entry of active) changed.add(entry);
    }
    // Once per frame, however much comes. A hidden page has no frames, nor has a worker.
    if (isDue) return;
    isDue = true;
    if (page?.hidden === false) requestAnimationFrame(drawn);
    else setTimeout(drawn, FRAMELESS_MS);
  }

  function drawn() {
    isDue = false;
    settle();
  }

  /** Bring the states of what has changed up to date, and tell who listens. */
  function settle() {
    for (const entry of changed) {
      changed.delete(entry);
      entry.settle();
    }
    const status = linkStatus();
    const simulated = link.simulated || Object.values(exchanges).some((one) => one.simulated);
    const before = connection.getSnapshot();
    if (status !== before.status || exchanges !== before.exchanges || simulated !== before.simulated)
      connection.set({ status, exchanges, simulated });
  }

  /** Each second: what was not renewed is not live any more. Where a clock goes on, nobody was put away. */
  function look() {
    if (isResting && !page?.hidden) {
      isResting = false;
      linkSince = Date.now();
      supply();
    }
    feed.look();
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
    feed.wake(false);
  }

  function onVisibility() {
    clearTimeout(resting);
    if (page?.hidden) resting = setTimeout(rest, REST_AFTER_MS);
    else wake();
  }

  // Hints of when to look, and no more than that: what has come counts, whatever a platform thinks of its network.
  const reactions: readonly (readonly [EventTarget | undefined, string, () => unknown])[] = [
    [page, "visibilitychange", onVisibility],
    [globalThis, "pageshow", look], // back from where it was put away; else it has only loaded
    [globalThis, "pagehide", rest], // so that the browser may keep the page for the way back
    [globalThis, "online", wake],
  ];

  function start() {
    linkSince = Date.now();
    clock = setInterval(look, LOOK_MS);
    if (page?.hidden) onVisibility();
    for (const [target, name, reaction] of reactions) target?.addEventListener?.(name, reaction);
  }

  function stop() {
    clearInterval(clock);
    clearTimeout(resting);
    for (const [target, name, reaction] of reactions) target?.removeEventListener?.(name, reaction);
    isResting = false;
    isTold = undefined;
    settle();
  }

  const client: RealtimeClient = {
    symbol(text) {
      if (!(options.EventSource ?? globalThis.EventSource)) return IDLE_STORE; // a server's must not grow with what visitors ask for
      const symbol = normalizeSymbol(text) ?? text;
      const entry = entries.get(symbol) ?? makeEntry(symbol);
      entries.set(symbol, entry);
      return entry;
    },
    connection,
    reconnect: () => feed.wake(true),
    close() {
      for (const entry of active) {
        active.delete(entry);
        entry.settle();
      }
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
