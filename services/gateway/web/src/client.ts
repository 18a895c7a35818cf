/** The client: one store per symbol, all of them filled from one stream. It does not depend on React. */
import { type AnyState, IDLE, isBacked, normalizeSymbol, withFields, withPrice } from "./symbolState.ts";
import { shareStream } from "./tabs.ts";
import { since } from "./timing.ts";
import type {
  Attach,
  ConnectionState,
  FeedStatus,
  Field,
  Link,
  News,
  Part,
  RealtimeClient,
  RealtimeClientOptions,
  RealtimeError,
  Status,
  Store,
  SymbolNews,
  TickerMessage,
  Wants,
  Wish,
} from "./types.ts";
import { joined, NOTHING } from "./wants.ts";
import { DEFAULT_FIELDS } from "./wire.ts";

export { IDLE, normalizeSymbol, tickerAge } from "./symbolState.ts";
export type * from "./types.ts";

const FRESH_MS = 5000; // a price without a message for this long is stale: live ones come every second, even unchanged
const YIELDS_AFTER_MS = 2 * FRESH_MS; // any message replaces one that was not renewed for this long
const GRACE_MS = 4000; // a shorter interruption is not reported: a stopping server asks clients to wait up to three seconds
const UNREACHABLE_MS = 30_000; // after this long without an answer, the status is `offline`
const REST_AFTER_MS = 300_000; // a page that has been hidden for this long closes its stream
const FRAMELESS_MS = 250; // hidden pages and workers have no animation frames: they update after this delay
const LOOK_MS = 1000; // how often the client checks for silence
const DEFAULT_HZ = 4; // the most updates per second of a listener that does not say
// The lowest rate, which is also that of a hidden page. With fewer updates a live price would count as stale in between.
const LOWEST_HZ = 0.5;
const HIGHEST_HZ = 1000; // the highest rate that the gateway accepts

type Timer = ReturnType<typeof setTimeout> | undefined;
/** One symbol's store, with the methods that fill it. */
interface Entry extends Store<AnyState>, Part {
  /** The stores that callers get, by their wishes. */
  readonly views: Map<string, Store<AnyState>>;
}

/** Make a store with a `set` method. The first listener triggers `onUse(true)`, the end of the last one `onUse(false)`. */
function makeStore<T>(initial: T, onUse?: (isUsed: boolean) => void) {
  let state = Object.freeze(initial);
  const listeners = new Set<() => void>();
  return {
    subscribe(listener: () => void) {
      const own = () => listener(); // a new function each time, because the same listener may subscribe twice
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

/** A store whose state is always `IDLE`. */
export const IDLE_STORE: Store<AnyState> = makeStore(IDLE);
const NO_CONNECTION: ConnectionState = { status: "idle", exchanges: {}, simulated: false };

const REGISTRY = Symbol.for("market-pulse/realtime.v3");
const here: typeof globalThis & { [REGISTRY]?: Map<string, RealtimeClient> } = globalThis;
/** This page's clients, by gateway. The map is global, so that all copies of this module that a bundler made share it. */
function registry(): Map<string, RealtimeClient> {
  here[REGISTRY] ??= new Map();
  return here[REGISTRY];
}

/** Make a client that nothing else uses. Most pages want {@link realtimeClient}, which all parts of a page share. */
export function createRealtimeClient(options: RealtimeClientOptions = {}): RealtimeClient {
  const { baseUrl = "" } = options;
  const page: Document | undefined = globalThis.document; // undefined in a worker
  const entries = new Map<string, Entry>();
  const stores = new Map<string, Store<unknown>>(); // those of other modules, by key
  const active = new Set<Part>(); // the entries that have a listener, and other modules' parts
  const wishes = new Set<Wants>(); // the wish of each listener
  let wanted = NOTHING; // all wishes together
  const changed = new Set<Part>(); // those whose state may have changed since the last update
  const feed = shareStream(options, hear);
  let link: Link = { up: false, simulated: false, error: null, since: 0, kinds: [] }; // the newest report on the stream
  let linkSince = 0; // when the stream was opened, was lost, or began to be wanted
  let isTold: boolean | undefined; // whether this stream has reported an exchange; undefined until a stream has opened
  let quote = ""; // the currency of a symbol that is asked for without one, as the gateway told it
  let exchanges: Readonly<Record<string, FeedStatus>> = NO_CONNECTION.exchanges; // the newest status of each exchange
  const connection = makeStore(NO_CONNECTION);
  let isDue = false; // an update is scheduled
  let isHidden = false; // nobody sees the page, so prices come at the lowest rate
  let isResting = false; // nobody has seen the page for so long that the stream is closed
  let supplying: Timer; // until the feed gets the symbols that are wanted
  let resting: Timer; // until a hidden page closes the stream
  let clock: Timer; // calls `look` every second

  /** Return the stream's status, which does not depend on any symbol's price. */
  function linkStatus(): Status {
    if (!active.size) return "idle";
    const downMs = link.up || isResting ? 0 : since(linkSince);
    const code = link.error?.code ?? "unreachable"; // every other code means that a server answered
    if (downMs > UNREACHABLE_MS && code === "unreachable") return "offline";
    if (isTold === undefined && !link.up) return "connecting";
    return downMs > GRACE_MS ? "reconnecting" : "live";
  }

  function makeEntry(symbol: string): Entry {
    let latest: TickerMessage<Field> | null = null;
    let heardAt = 0;
    let refusal: RealtimeError | null = normalizeSymbol(symbol) ? null : { code: "unknown_symbol", message: "not a symbol" };

    /**
     * Whether a message replaces the known one. `at` is a time at which the message was the newest.
     * - Any message does if the known one was not renewed for `YIELDS_AFTER_MS`, or is of another symbol: `BTC` has come to mean
     *   another one.
     * - A message with the same `seq` does unless the known one was renewed later.
     * - A higher `seq` does unless the message was made `FRESH_MS` or more before the known one.
     * - A lower `seq` does if the message was made later: its publisher has started to count anew.
     * Each publisher has its own clock, so times are compared only between messages of one publisher.
     */
    function isNews({ symbol, seq, aggregatedTime, publisher }: TickerMessage<never>, at: number): boolean {
      if (latest?.symbol !== symbol || at - heardAt > YIELDS_AFTER_MS) return true;
      const laterMs = publisher === latest.publisher ? aggregatedTime - latest.aggregatedTime : 0;
      if (seq === latest.seq) return at >= heardAt; // the gateway sends a ticker again when it has become stale
      return seq > latest.seq ? laterMs > -FRESH_MS : laterMs > 0;
    }

    const store = makeStore(IDLE, (isUsed) => {
      if (isUsed) join(entry);
      else leave(entry);
      entry.settle(link, linkStatus());
    });
    const entry: Entry = Object.assign(store, {
      symbol,
      views: new Map(),
      hear(news: SymbolNews) {
        if (news[0] === "refused") refusal = news[1].error;
        else if (news[0] === "ticker" && isNews(news[1], news[2])) {
          const [, message, at] = news;
          if (latest?.symbol !== message.symbol) latest = null;
          // While a stream with more fields opens, the old one delivers messages without them: keep the fields that are known.
          const kept = latest ? Object.entries(latest).filter(([field]) => wanted.fields.includes(field)) : [];
          latest = { ...Object.fromEntries(kept), ...message } as TickerMessage<Field>;
          heardAt = at;
          if (isBacked(latest)) refusal = null;
        }
      },
      settle(link: Link, status: Status) {
        if (!active.has(entry)) status = "idle";
        else if (refusal?.code === "unknown_symbol" || refusal?.code === "too_many_symbols") status = "offline";
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

  /** Return the store of a symbol for one wish. While it has a listener, the stream fulfils the wish. */
  function makeView({ symbol, subscribe, getSnapshot }: Entry, { fields, maxHz = DEFAULT_HZ }: Wish<Field>): Store<AnyState> {
    const wish: Wants = {
      symbols: normalizeSymbol(symbol) ? [symbol] : [],
      kinds: [],
      fields: ["price", ...(fields ?? DEFAULT_FIELDS)],
      maxHz: Math.min(Math.max(maxHz, LOWEST_HZ), HIGHEST_HZ),
    };
    let seen = IDLE;
    let shown = IDLE;
    return {
      subscribe(listener) {
        const unwish = addWish(wish);
        const end = subscribe(listener);
        return () => {
          unwish();
          end();
        };
      },
      getSnapshot() {
        const state = getSnapshot();
        if (state !== seen) [seen, shown] = [state, withFields(state, wish.fields)];
        return shown;
      },
      getServerSnapshot: () => IDLE,
    };
  }

  function addWish(wish: Wants): () => void {
    const own = { ...wish };
    wishes.add(own);
    supplySoon();
    return () => {
      if (wishes.delete(own)) supplySoon();
    };
  }

  /** Request all wishes after this turn of the event loop: a page mounts and unmounts many components in one turn. */
  function supplySoon() {
    if (!supplying) supplying = setTimeout(supply);
  }

  function supply() {
    supplying = undefined;
    wanted = joined([...wishes]);
    feed.want(isResting ? NOTHING : isHidden ? { ...wanted, maxHz: LOWEST_HZ } : wanted);
  }

  function hear(...news: News) {
    const [type, data] = news;
    if (data && "symbol" in data) {
      for (const entry of active)
        if (entry.symbol === data.symbol || `${entry.symbol}-${quote}` === data.symbol) {
          entry.hear(news as SymbolNews);
          changed.add(entry);
        }
    } else if (type === "quote") {
      quote = data.quote;
    } else if (type === "status") {
      exchanges = Object.freeze({ ...(isTold ? exchanges : {}), [data.exchange]: data });
      isTold = true;
    } else if (data) {
      if (link.up !== data.up) linkSince = Date.now();
      if (!link.up && data.up) isTold = false; // the gateway reports all exchanges anew: the first report clears the old ones
      link = { ...data, simulated: (data.up ? data : link).simulated };
      for (const entry of active) changed.add(entry);
    }
    // Update once per frame, however many messages arrive. Without frames, a timer takes their place.
    if (isDue) return;
    isDue = true;
    if (page?.hidden === false) requestAnimationFrame(drawn);
    else setTimeout(drawn, FRAMELESS_MS);
  }

  function drawn() {
    isDue = false;
    settle();
  }

  /** Update the states of the changed symbols and of the connection, and call their listeners. */
  function settle() {
    const status = linkStatus();
    for (const entry of changed) {
      changed.delete(entry);
      entry.settle(link, status);
    }
    const simulated = link.simulated || Object.values(exchanges).some((one) => one.simulated);
    const before = connection.getSnapshot();
    if (status !== before.status || exchanges !== before.exchanges || simulated !== before.simulated)
      connection.set({ status, exchanges, simulated });
  }

  /**
   * Runs every second, to mark prices stale that were not renewed. If this timer runs on a visible page, the browser has not
   * put the page away, so the stream is opened again.
   */
  function look() {
    const wasHidden = isHidden;
    isHidden = !!page?.hidden;
    if (isResting && !isHidden) {
      isResting = false;
      linkSince = Date.now();
      supply();
    } else if (isHidden !== wasHidden) supply();
    feed.look();
    for (const entry of active) changed.add(entry);
    settle();
  }

  /** Close the stream, but keep the listeners. */
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
    look();
    if (isHidden) resting = setTimeout(rest, REST_AFTER_MS);
    else feed.wake(false);
  }

  // These events only say when to check. The messages that arrive decide, not the platform's view of its network.
  const reactions: readonly (readonly [EventTarget | undefined, string, () => unknown])[] = [
    [page, "visibilitychange", onVisibility],
    [globalThis, "pageshow", look], // the page is back from the back/forward cache, or has only loaded
    [globalThis, "pagehide", rest], // browsers may refuse the back/forward cache to pages with open connections
    [globalThis, "online", wake],
  ];

  function join(part: Part) {
    if (active.add(part).size === 1) start();
  }

  function leave(part: Part) {
    if (active.delete(part) && !active.size) stop();
  }

  const attach: Attach = (part, wants) => {
    join(part);
    const unwish = addWish(wants);
    changed.add(part);
    return {
      get: (path) => feed.get(part.symbol, path),
      end() {
        unwish();
        leave(part);
      },
    };
  };

  function start() {
    linkSince = Date.now();
    clock = setInterval(look, LOOK_MS);
    isHidden = !!page?.hidden;
    if (isHidden) resting = setTimeout(rest, REST_AFTER_MS);
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

  const hasStreams = () => options.EventSource ?? globalThis.EventSource;

  const client: RealtimeClient = {
    symbol(text: string, wish: Wish<Field> = {}) {
      // On a server: keep no entry, because visitors' symbols would fill the memory.
      if (!hasStreams()) return IDLE_STORE;
      const symbol = normalizeSymbol(text) ?? text;
      const entry = entries.get(symbol) ?? makeEntry(symbol);
      entries.set(symbol, entry);
      const key = `${wish.maxHz} ${wish.fields}`;
      const view = entry.views.get(key) ?? makeView(entry, wish);
      entry.views.set(key, view);
      return view;
    },
    store<T>(key: string, make: (attach: Attach) => Store<T>) {
      if (!hasStreams()) return make(attach);
      const store = (stores.get(key) as Store<T> | undefined) ?? make(attach);
      stores.set(key, store);
      return store;
    },
    connection,
    reconnect: () => feed.wake(true),
    close() {
      for (const entry of active) {
        active.delete(entry);
        entry.settle(link, "idle");
      }
      stop();
      wishes.clear();
      clearTimeout(supplying);
      feed.want(NOTHING);
      if (registry().get(baseUrl) === client) registry().delete(baseUrl);
    },
  };
  return client;
}

/** Return the client for a gateway ("" is this page's own origin). All parts of a page share it. */
export function realtimeClient(baseUrl = ""): RealtimeClient {
  const client = registry().get(baseUrl) ?? createRealtimeClient({ baseUrl });
  registry().set(baseUrl, client);
  return client;
}
