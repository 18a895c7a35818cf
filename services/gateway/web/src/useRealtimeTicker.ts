"use client";
/** Prices in React: typed views of the client's stores. Connection, retries and batching live there. */
import { createContext, useContext, useMemo, useSyncExternalStore } from "react";
import { IDLE_STORE, realtimeClient, tickerAge } from "./client.ts";
import type { ConnectionState, RealtimeClient, Store, SymbolState } from "./types.ts";

export type * from "./types.ts";

/** Which client the hooks below it use; without one, that of this page's own origin. */
export const RealtimeContext = createContext<RealtimeClient | null>(null);

export function useRealtimeClient(): RealtimeClient {
  return useContext(RealtimeContext) ?? realtimeClient();
}

function useStore<T>({ subscribe, getSnapshot, getServerSnapshot }: Store<T>): T {
  return useSyncExternalStore(subscribe, getSnapshot, getServerSnapshot);
}

export interface RealtimeTicker extends SymbolState {
  /** Try again now. */
  readonly reconnect: () => void;
}

export interface RealtimeTickerOptions {
  /** `BTC` is `BTC-USDT`. */
  readonly symbol: string;
  /** Without it nothing is asked for, and the status is `idle`. */
  readonly enabled?: boolean;
}

/** One symbol's newest ticker, and whether to trust it now. All callers on a page, and all its tabs, share one stream. */
export function useRealtimeTicker({ symbol, enabled = true }: RealtimeTickerOptions): RealtimeTicker {
  const client = useRealtimeClient();
  const state = useStore(enabled ? client.symbol(symbol) : IDLE_STORE);
  return useMemo(() => ({ ...state, reconnect: client.reconnect }), [state, client]);
}

/** The states of several symbols, by the name each was asked for with. */
export function useRealtimeTickers(symbols: readonly string[]): Readonly<Record<string, SymbolState>> {
  const client = useRealtimeClient();
  // biome-ignore lint/correctness/useExhaustiveDependencies: the same symbols in a new array are the same symbols
  const store = useMemo(() => together(client, symbols), [client, symbols.join()]);
  return useStore(store);
}

/** Join several symbols' stores into one, whose snapshot is another only if one of theirs is. */
function together(client: RealtimeClient, names: readonly string[]): Store<Readonly<Record<string, SymbolState>>> {
  const stores = names.map((name) => client.symbol(name));
  const read = (from: (store: Store<SymbolState>) => SymbolState) =>
    Object.freeze(Object.fromEntries(stores.map((store, index) => [names[index], from(store)])));
  const onServer = read((store) => store.getServerSnapshot());
  let snapshot = onServer;
  return {
    subscribe(listener) {
      const ends = stores.map((store) => store.subscribe(listener));
      return () => {
        for (const end of ends) end();
      };
    },
    getSnapshot() {
      const newest = read((store) => store.getSnapshot());
      if (names.some((name) => newest[name] !== snapshot[name])) snapshot = newest;
      return snapshot;
    },
    getServerSnapshot: () => onServer,
  };
}

/**
 * How old a symbol's price is, in whole seconds as milliseconds, renewed each second; null while none is known.
 * A hook of its own, so that the passing of time re-renders only who shows it.
 */
export function useTickerAge(symbol: string): number | null {
  const client = useRealtimeClient();
  const age = useMemo((): Store<number | null> => {
    const { subscribe, getSnapshot } = client.symbol(symbol);
    return {
      subscribe(listener) {
        const end = subscribe(listener);
        const timer = setInterval(listener, 1000);
        return () => {
          clearInterval(timer);
          end();
        };
      },
      getSnapshot() {
        const ms = tickerAge(getSnapshot());
        return ms && ms - (ms % 1000);
      },
      getServerSnapshot: () => null,
    };
  }, [client, symbol]);
  return useStore(age);
}

/** How the stream and the exchanges are doing. Opens nothing by itself. */
export function useConnection(): ConnectionState {
  return useStore(useRealtimeClient().connection);
}
