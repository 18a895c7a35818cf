/** PLACEHOLDER for parallel work: plain EventSource per symbol store. Replaced soon; the exported names stay. */
import type { ConnectionState, RealtimeClient, Store, SymbolState, TickerMessage, Ticker } from "./types.ts";

const EMPTY: SymbolState = Object.freeze({ ticker: null, latest: null, heardAt: null, status: "idle", isConnected: false, error: null });
const NO_CONNECTION: ConnectionState = Object.freeze({ status: "idle", exchanges: {}, simulated: false });

export interface ClientOptions {
  /** Where the gateway is, without a slash at the end; "" is this page's own origin. */
  readonly baseUrl?: string;
}

export function normalizeSymbol(text: string): string | null {
  const symbol = text.trim().toUpperCase();
  const full = symbol.includes("-") ? symbol : `${symbol}-USDT`;
  return /^[\p{L}\p{N}]{1,32}-[\p{L}\p{N}]{1,32}$/u.test(full) ? full : null;
}

export function createRealtimeClient({ baseUrl = "" }: ClientOptions = {}): RealtimeClient {
  const stores = new Map<string, Store<SymbolState>>();
  let connection = NO_CONNECTION;
  const watchers = new Set<() => void>();
  function make(symbol: string): Store<SymbolState> {
    let state: SymbolState = { ...EMPTY, status: "connecting" };
    const listeners = new Set<() => void>();
    let source: EventSource | null = null;
    return {
      subscribe(listener) {
        listeners.add(listener);
        if (!source) {
          source = new EventSource(`${baseUrl}/api/realtime?symbols=${symbol}`);
          source.onmessage = ({ data }) => {
            const message = JSON.parse(data);
            if (message.type === "ticker") {
              const latest: TickerMessage = message.data;
              const live = latest.quality !== "stale" && latest.quality !== "down";
              state = Object.freeze({ ticker: latest.price === null ? null : (latest as Ticker), latest, heardAt: Date.now(), status: live ? "live" : "stale", isConnected: live, error: null });
              for (const one of listeners) one();
            } else if (message.type === "status") {
              connection = { status: "live", simulated: message.data.simulated, exchanges: { ...connection.exchanges, [message.data.exchange]: message.data } };
              for (const one of watchers) one();
            }
          };
        }
        return () => {
          listeners.delete(listener);
          if (!listeners.size) { source?.close(); source = null; }
        };
      },
      getSnapshot: () => state,
      getServerSnapshot: () => EMPTY,
    };
  }
  return {
    symbol(symbol) {
      const name = normalizeSymbol(symbol) ?? symbol;
      let store = stores.get(name);
      if (!store) stores.set(name, (store = make(name)));
      return store;
    },
    connection: { subscribe: (l) => { watchers.add(l); return () => watchers.delete(l); }, getSnapshot: () => connection, getServerSnapshot: () => NO_CONNECTION },
    reconnect() {},
    close() {},
  };
}

const registry: Map<string, RealtimeClient> = ((globalThis as Record<symbol, unknown>)[Symbol.for("market-pulse/realtime.v1")] ??= new Map()) as Map<string, RealtimeClient>;

/** Return the one client for a gateway that all of this page shares. */
export function realtimeClient(baseUrl = ""): RealtimeClient {
  let client = registry.get(baseUrl);
  if (!client) registry.set(baseUrl, (client = createRealtimeClient({ baseUrl })));
  return client;
}
