/** The words of the gateway's API, generated from its OpenAPI description, and what the client makes of them. */
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
  | { readonly type: "refused"; readonly data: Problem & { readonly retryMs?: number } }; // an event of this name

/** Whether there is room for a symbol beside the other streamed symbols, and why not. */
interface Room {
  readonly symbol: string;
  readonly room: boolean;
  readonly detail: string | null;
}

/**
 * A ticker that has a price. Prices are quote units per base unit, times Unix milliseconds.
 * `change24h` and `changePercent24h` are NaN where the exchanges do not say, so that formatting them cannot throw.
 */
export interface Ticker extends TickerMessage {
  readonly price: number;
  readonly change24h: number;
  readonly changePercent24h: number;
}

/**
 * - `idle`: nobody asks
 * - `connecting`: the first price has not come yet
 * - `live`: a price that was renewed within the last seconds and that sources back
 * - `stale`: the newest price is old, or nothing backs it any more
 * - `reconnecting`: the stream has been away for some seconds
 * - `offline`: the gateway could not be reached for a while, or there is no such symbol
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
  /** For an unknown symbol: listed ones that look like it. */
  readonly suggestions?: readonly string[];
}

/** What is known of one symbol. Frozen; replaced when anything changes, so identity tells. */
export interface SymbolState {
  /** The newest ticker with a price; null until one came, and again when the price is not known any more (`down`). */
  readonly ticker: Ticker | null;
  /** The newest message as it came: like `ticker`, but also there without a price, when it says why there is none. */
  readonly latest: TickerMessage | null;
  /** When `latest` came, by this browser's clock (`Date.now()`). */
  readonly heardAt: number | null;
  readonly status: Status;
  /** Whether the price is live right now: the same as `status === "live"`. */
  readonly isConnected: boolean;
  readonly error: RealtimeError | null;
}

/** How the stream and the exchanges are doing. Frozen; replaced when anything changes. */
export interface ConnectionState {
  readonly status: Status;
  /** Each exchange's feed, by its name, as it was last told: another object as soon as that is anew. */
  readonly exchanges: Readonly<Record<string, FeedStatus>>;
  /** Whether any price is made up by the simulator. */
  readonly simulated: boolean;
}

/** A value that changes, in the form that React's useSyncExternalStore takes. All functions are bound and stable. */
export interface Store<T> {
  /** Call `listener` after each change until the returned function is called. */
  readonly subscribe: (listener: () => void) => () => void;
  readonly getSnapshot: () => T;
  /** The snapshot for rendering on a server: always the same one. */
  readonly getServerSnapshot: () => T;
}

export interface RealtimeClient {
  /** The state of one symbol (`BTC` is `BTC-USDT`), one stable store each. It streams while somebody is subscribed to it. */
  symbol(symbol: string): Store<SymbolState>;
  /** The state of the stream and the exchanges. Subscribing to it alone opens nothing. */
  readonly connection: Store<ConnectionState>;
  /** Try again now, whatever has failed before. */
  reconnect(): void;
  /** Give up all connections. The client is of no use afterwards. */
  close(): void;
}

/** The part of an `EventSource` that the client uses. Browsers have it, and so do most packages for other places. */
export interface EventSourceLike {
  readonly readyState: number;
  // biome-ignore-start lint/suspicious/noExplicitAny: each has event types of its own
  onmessage: ((event: any) => void) | null;
  onerror: ((event: any) => void) | null;
  addEventListener(type: string, listener: (event: any) => void): void;
  // biome-ignore-end lint/suspicious/noExplicitAny: until here
  close(): void;
}

export interface RealtimeClientOptions {
  /** Where the gateway is, without a slash at the end; "" is this page's own origin. */
  readonly baseUrl?: string;
  /** The key that the gateway wants, if it wants one. Whoever can read the page can read it. */
  readonly apiKey?: string | undefined;
  /** Where there is no global one, as in Node.js or React Native: from a package. */
  readonly EventSource?: (new (url: string) => EventSourceLike) | undefined;
}

/**
 * What a source of prices tells the client, in the same words whether it is this tab's own stream or another tab's.
 * - `ticker`: a message, from the stream or by REST, and when it came (`Date.now()`)
 * - `link`: whether the stream is open, and what is wrong if anything is
 * - `refused`: why a symbol is not streamed, or null if that is over
 * - `beat`: a sign of life
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
  /** As the stream said when it was opened last. */
  readonly simulated: boolean;
  readonly error: RealtimeError | null;
}

/** Where prices come from. */
export interface Feed {
  /** Carry exactly these symbols from now on, the first of them if they are too many; none: let go of everything. */
  want(symbols: readonly string[]): void;
  /** Look again at once: the page was asleep or without a network, or somebody asks for it. */
  wake(anew: boolean): void;
  /** To be called each second while anything is wanted: notices silence, and polls. */
  look(): void;
}
