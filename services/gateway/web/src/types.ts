/** The client's types. Those of the gateway's messages are generated from its OpenAPI description. */
import type { components } from "./api.ts";

type Schemas = components["schemas"];

export type TickerMessage = Schemas["Ticker"];
export type TickerSource = Schemas["Source"];
export type FeedStatus = Schemas["FeedStatus"];
export type Quality = TickerMessage["quality"];
export type Problem = Schemas["Problem"];
export type StreamEvent =
  | Schemas["StreamEvent"]
  | { readonly type: "room"; readonly data: Room }
  | { readonly type: "refused"; readonly data: Problem & { readonly retryMs?: number } }; // comes as an SSE event of this name

/** Whether the gateway has room for a symbol beside the other streamed symbols. `detail` says why not. */
interface Room {
  readonly symbol: string;
  readonly room: boolean;
  readonly detail: string | null;
}

/**
 * A ticker that has a price. Prices are quote units per base unit, times are Unix milliseconds.
 * `change24h` and `changePercent24h` are NaN where the exchanges do not report them, so that formatting them cannot throw.
 */
export interface Ticker extends TickerMessage {
  readonly price: number;
  readonly change24h: number;
  readonly changePercent24h: number;
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
export interface SymbolState {
  /** The newest ticker. Null until the first price arrives, and again when the newest message has no price (`down`). */
  readonly ticker: Ticker | null;
  /** The newest message as it was received. Unlike `ticker` it may lack a price; its `quality` then says why. */
  readonly latest: TickerMessage | null;
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
  /** Return a symbol's store (`BTC` is `BTC-USDT`), always the same one. The symbol streams while its store has a listener. */
  symbol(symbol: string): Store<SymbolState>;
  /** The state of the stream and of the exchanges. Subscribing to this store does not open a stream. */
  readonly connection: Store<ConnectionState>;
  /** Open a new stream now, and request refused symbols again. */
  reconnect(): void;
  /** Close all connections. The client cannot be used afterwards. */
  close(): void;
}

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
 * - `status`: the status of one exchange's feed
 * - `link`: whether the stream is open, and the error if there is one
 * - `refused`: why a symbol is not streamed; a null error ends the refusal
 * - `beat`: a sign of life from the tab that has the stream
 */
export type News =
  | readonly [type: "ticker", data: TickerMessage, heardAt: number]
  | readonly [type: "status", data: FeedStatus]
  | readonly [type: "link", data: Link]
  | readonly [type: "refused", data: { readonly symbol: string; readonly error: RealtimeError | null }]
  | readonly [type: "beat"];

export type Tell = (...news: News) => void;

export interface Link {
  readonly up: boolean;
  /** Whether the stream that opened last reported that its prices are simulated. */
  readonly simulated: boolean;
  readonly error: RealtimeError | null;
}

/** A source of prices: a stream of this tab, or one that it shares with other tabs. */
export interface Feed {
  /** Carry exactly these symbols from now on; if they are too many, the first ones. Without symbols, close the stream. */
  want(symbols: readonly string[]): void;
  /**
   * Check the stream at once: the page may have been asleep or without a network. With `anew`, open a new stream in any case,
   * and request refused symbols again.
   */
  wake(anew: boolean): void;
  /** Notice silence, and poll where there is no stream. To be called every second while any symbol is wanted. */
  look(): void;
}
