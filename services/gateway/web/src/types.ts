/** The client's types. Those of the gateway's messages are generated from its OpenAPI description. */
import type { components } from "./api.ts";

type Schemas = components["schemas"];
type AnyTicker = Schemas["Ticker"];

export type TickerSource = Schemas["Source"];
export type FeedStatus = Schemas["FeedStatus"];
export type Quality = AnyTicker["quality"];
export type Problem = Schemas["Problem"];
/** A candle as the stream sends it. */
export type CandleMessage = Readonly<Schemas["Candle"]>;
export type Interval = Schemas["Interval"];
export type StreamEvent =
  | Exclude<Schemas["StreamEvent"], { type: "ticker" }>
  | { readonly type: "ticker"; readonly data: TickerMessage<Field> }
  | { readonly type: "candle"; readonly data: CandleMessage }
  | { readonly type: "room"; readonly data: Room }
  | { readonly type: "refused"; readonly data: Problem & { readonly retryMs?: number } }; // comes as an SSE event of this name

type PastMember =
  | ("start" | "end" | "open" | "high" | "low" | "close" | "volume" | "quoteVolume" | "trades")
  | ("revision" | "missed" | "origin" | "closed");

/** A candle. One that was past when it was requested has only those members that always come. */
export type Candle = Pick<CandleMessage, PastMember> & Partial<CandleMessage>;

/** Whether the gateway has room for a symbol beside the other streamed symbols. `detail` says why not. */
interface Room {
  readonly symbol: string;
  readonly room: boolean;
  readonly detail: string | null;
}

/** The name of a ticker's member. */
export type Field = keyof AnyTicker;

/** The members of every ticker. A client judges its order, age and quality by them. */
export type AlwaysField = "v" | "symbol" | "seq" | "price" | "quality" | "receivedTime" | "aggregatedTime" | "publisher";

/** The members that a listener gets unless it asks for others. */
export type DefaultField = Exclude<Field, AlwaysField | "sources">;

/** The wish of one listener. One stream fulfils the wishes of all, so a listener may get more than it asked for. */
export interface Wish<F extends Field = DefaultField> {
  /** The ticker's members, beside those of every ticker. By default all but `sources`. */
  readonly fields?: readonly F[] | undefined;
  /** The most updates per second, from 0.5 to 1000; by default 4. */
  readonly maxHz?: number | undefined;
}

/** A ticker as the gateway sends it, with the members that a listener asked for. Prices are quote units per base unit. */
export type TickerMessage<F extends Field = DefaultField> = Pick<AnyTicker, AlwaysField | F>;

/**
 * A ticker that has a price, with the members that a listener asked for. Times are Unix milliseconds.
 * `change24h` and `changePercent24h` are NaN where the exchanges do not report them, so that formatting them cannot throw.
 */
export type Ticker<F extends Field = DefaultField> = Readonly<Pick<PricedTicker, AlwaysField | F>>;

interface PricedTicker extends AnyTicker {
  price: number;
  change24h: number;
  changePercent24h: number;
}

/**
 * - `idle`: the store has no listener
 * - `connecting`: no price has arrived yet
 * - `live`: the price was renewed within the last five seconds, and at least one exchange supports it
 * - `stale`: the newest price is older than that, or no exchange supports it any more
 * - `reconnecting`: the stream has been interrupted for a few seconds
 * - `offline`: the gateway could not be reached for half a minute, or the symbol is unknown or one too many
 */
export type Status = "idle" | "connecting" | "live" | "stale" | "reconnecting" | "offline";

export interface RealtimeError {
  readonly code:
    | "unknown_symbol"
    | "too_many_symbols"
    | "no_room"
    | "unreachable"
    | "busy"
    | "rate_limited"
    | "unauthorized"
    | "bad_data";
  readonly message: string;
  /** For an unknown symbol: listed symbols that look similar. */
  readonly suggestions?: readonly string[];
}

/** One symbol's state. It is frozen and replaced when anything changes, so comparing identities is enough. */
export interface SymbolState<F extends Field = DefaultField> {
  /** The newest ticker. Null until the first price arrives, and again when the newest message has no price (`down`). */
  readonly ticker: Ticker<F> | null;
  /** The newest message. Unlike `ticker` it may lack a price; its `quality` then says why. */
  readonly latest: TickerMessage<F> | null;
  /** When `latest` was received, by this browser's clock (`Date.now()`). */
  readonly heardAt: number | null;
  readonly status: Status;
  /** Whether the price is live right now: the same as `status === "live"`. */
  readonly isConnected: boolean;
  readonly error: RealtimeError | null;
}

/** The state of the stream and of the exchanges' feeds. It is frozen and replaced when anything changes. */
export interface ConnectionState {
  readonly status: Status;
  /** The newest status of each exchange's feed, by exchange. A new object with every status that arrives. */
  readonly exchanges: Readonly<Record<string, FeedStatus>>;
  /** Whether any price comes from the simulator. */
  readonly simulated: boolean;
}

/** A value that changes, in the form that React's useSyncExternalStore takes. All functions are bound, and never replaced. */
export interface Store<T> {
  /** Call `listener` after each change until the returned function is called. */
  readonly subscribe: (listener: () => void) => () => void;
  readonly getSnapshot: () => T;
  /** Returns the snapshot for rendering on a server, which never changes. */
  readonly getServerSnapshot: () => T;
}

export interface RealtimeClient {
  /**
   * Return a symbol's store, always the same one for the same wish. The gateway's setting QUOTE decides the quote of `BTC`, and
   * the ticker's `symbol` says it. While a store has a listener, its symbol streams, with the members of its wish and
   * at least as fast.
   */
  symbol<F extends Field = DefaultField>(symbol: string, wish?: Wish<F>): Store<SymbolState<F>>;
  /**
   * Return the store of this key, the same one each time. The first call makes it with `make`. A module that needs more than
   * tickers joins the stream so: its store attaches a part while it has a listener.
   */
  store<T>(key: string, make: (attach: Attach) => Store<T>): Store<T>;
  /** The state of the stream and of the exchanges. Subscribing to this store does not open a stream. */
  readonly connection: Store<ConnectionState>;
  /** Open a new stream now, and request refused symbols again. */
  reconnect(): void;
  /** Close all connections. The client cannot be used afterwards. */
  close(): void;
}

/** A part of the client that the stream fills. */
export interface Part {
  /** The symbol in the project's spelling, with or without a quote. */
  readonly symbol: string;
  /** Receive news of this symbol. The next `settle` shows it. */
  hear(news: SymbolNews): void;
  /** Compute the current state. It is called after each change of the stream's state, after news, and every second. */
  settle(link: Link, status: Status): void;
}

/** Fulfil a part's wish, and call it, until `end`. `get` requests a path by REST: an `answer` follows, unless a tab is lost. */
export type Attach = (part: Part, wants: Wants) => { readonly end: () => void; readonly get: (path: string) => void };

/** The part of an `EventSource` that the client uses. Browsers have it, and so do most packages for other runtimes. */
export interface EventSourceLike {
  readonly readyState: number;
  // biome-ignore-start lint/suspicious/noExplicitAny: each implementation has event types of its own
  onmessage: ((event: any) => void) | null;
  onerror: ((event: any) => void) | null;
  addEventListener(type: string, listener: (event: any) => void): void;
  // biome-ignore-end lint/suspicious/noExplicitAny: end of the event types
  close(): void;
}

export interface RealtimeClientOptions {
  /** The gateway's address, without a slash at the end; "" is this page's own origin. */
  readonly baseUrl?: string;
  /** The API key, for a gateway that wants one. Every visitor of the page can read it. */
  readonly apiKey?: string | undefined;
  /** An EventSource class from a package, for runtimes without a global one, such as Node.js or React Native. */
  readonly EventSource?: (new (url: string) => EventSourceLike) | undefined;
}

/**
 * A feed's reports to the client, from this tab's own stream or from another tab's.
 * - `ticker`: a message from the stream or by REST, and a time (`Date.now()`) at which it was surely the newest
 * - `candle`: a candle from the stream
 * - `answer`: the answer to a request of some part, in this tab or in another one
 * - `quote`: the currency of a symbol that is asked for without one
 * - `status`: the status of one exchange's feed
 * - `link`: whether the stream is open, and the error if there is one
 * - `refused`: why a symbol, in full or as it was asked for, is not streamed; a null error ends the refusal
 * - `beat`: a sign of life from the tab that has the stream
 */
export type News =
  | SymbolNews
  | readonly [type: "quote", data: { readonly quote: string }]
  | readonly [type: "status", data: FeedStatus]
  | readonly [type: "link", data: Link]
  | readonly [type: "beat"];

export type SymbolNews =
  | readonly [type: "ticker", data: TickerMessage<never>, heardAt: number]
  | readonly [type: "candle", data: CandleMessage]
  | readonly [type: "answer", data: Answer]
  | readonly [type: "refused", data: { readonly symbol: string; readonly error: RealtimeError | null }];

/** The answer to a request for a symbol. If the symbol is refused, `body` is undefined and `error` null. */
export interface Answer {
  readonly symbol: string;
  readonly path: string;
  /** When it was requested. */
  readonly at: number;
  /** The `since` of the stream that ran all the time from the request to the answer; 0 if there was no such stream. */
  readonly since: number;
  /** The JSON of a good answer. Its type is unknown until it is checked. */
  readonly body: unknown;
  readonly error: RealtimeError | null;
  /** The HTTP status of an error; 0 if nothing answered. */
  readonly status: number;
  /** For how long the server wants no further request. */
  readonly waitMs: number;
}

export type Tell = (...news: News) => void;

export interface Link {
  readonly up: boolean;
  /** Whether the stream that opened last reported that its prices are simulated. */
  readonly simulated: boolean;
  readonly error: RealtimeError | null;
  /** The moment from which on no message can have been missed; another one after each interruption. */
  readonly since: number;
  /** The kinds that the open stream carries beside tickers. */
  readonly kinds: readonly string[];
}

/** The wishes that a stream is to fulfil, in one. */
export interface Wants {
  readonly symbols: readonly string[];
  /** What to carry beside tickers, each with its symbol: `candle:1m:BTC`. */
  readonly kinds: readonly string[];
  /** The tickers' members, beside those that always come. Without any, no tickers are wanted. */
  readonly fields: readonly string[];
  /** The most updates per second. */
  readonly maxHz: number;
}

/** A source of prices: a stream of this tab, or one that it shares with other tabs. */
export interface Feed {
  /**
   * Carry all of this from now on; if there are too many symbols, the first ones. The feed may carry what was wanted before for
   * some seconds more. Without symbols, it closes the stream.
   */
  want(wants: Wants): void;
  /**
   * Check the stream at once: the page may have been asleep or without a network. With `anew`, open a new stream in any case,
   * and request refused symbols again.
   */
  wake(anew: boolean): void;
  /** Request a path by REST. The answer comes as news of this symbol. The same path is requested once at a time. */
  get(symbol: string, path: string): void;
  /** Notice silence, and poll where there is no stream. To be called every second while any symbol is wanted. */
  look(): void;
}
