"use client";
/** React hooks: typed views of the client's stores. The client itself connects, retries and batches updates. */
import { createContext, useContext, useMemo, useSyncExternalStore } from "react";
import { IDLE_STORE, realtimeClient, tickerAge } from "./client.ts";
import type { ConnectionState, DefaultField, Field, RealtimeClient, Store, SymbolState, Wish } from "./types.ts";

export type * from "./types.ts";

/** The client that the hooks in this subtree use. By default it is the client of this page's own origin. */
export const RealtimeContext = createContext<RealtimeClient | null>(null);

export function useRealtimeClient(): RealtimeClient {
  return useContext(RealtimeContext) ?? realtimeClient();
}

function useStore<T>({ subscribe, getSnapshot, getServerSnapshot }: Store<T>): T {
  return useSyncExternalStore(subscribe, getSnapshot, getServerSnapshot);
}

export interface RealtimeTicker<F extends Field = DefaultField> extends SymbolState<F> {
  /** Open a new stream now, and request refused symbols again. */
  readonly reconnect: () => void;
}

export interface RealtimeTickerOptions<F extends Field = DefaultField> extends Wish<F> {
  /** `BTC-USD`, or `BTC` for the quote that the gateway has as its default: `ticker.symbol` says which. */
  readonly symbol: string;
  /** If false, the symbol is not streamed, and its status is `idle`. */
  readonly enabled?: boolean;
}

/** Return a symbol's newest ticker, and whether to trust it now. All callers share one stream, even across tabs. */
export function useRealtimeTicker<F extends Field = DefaultField>({
  symbol,
  enabled = true,
  fields,
  maxHz,
}: RealtimeTickerOptions<F>): RealtimeTicker<F> {
  const client = useRealtimeClient();
  const state: SymbolState<F> = useStore(enabled ? client.symbol(symbol, { fields, maxHz }) : IDLE_STORE);
  return useMemo(() => ({ ...state, reconnect: client.reconnect }), [state, client]);
}

/** Return the states of several symbols, each under the name that the caller gave for it. */
export function useRealtimeTickers<F extends Field = DefaultField>(
  symbols: readonly string[],
  { fields, maxHz }: Wish<F> = {},
): Readonly<Record<string, SymbolState<F>>> {
  const client = useRealtimeClient();
  // biome-ignore lint/correctness/useExhaustiveDependencies: the same symbols and fields in new arrays are the same
  const store = useMemo(() => together(client, symbols, { fields, maxHz }), [client, symbols.join(), fields?.join(), maxHz]);
  return useStore(store);
}

/** Join several symbols' stores into one. Its snapshot changes only if the snapshot of one of them does. */
function together<F extends Field>(
  client: RealtimeClient,
  names: readonly string[],
  wish: Wish<F>,
): Store<Readonly<Record<string, SymbolState<F>>>> {
  const stores = names.map((name) => client.symbol(name, wish));
  const read = (from: (store: Store<SymbolState<F>>) => SymbolState<F>) =>
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
 * Return how old a symbol's price is, in milliseconds, rounded down to whole seconds; null while there is no price. It is
 * renewed every second. It is a hook of its own, so that the passing of time re-renders only components that show the age.
 */
export function useTickerAge(symbol: string): number | null {
  const client = useRealtimeClient();
  const age = useMemo((): Store<number | null> => {
    const { subscribe, getSnapshot } = client.symbol(symbol, { fields: [], maxHz: 0 });
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

/** Return the state of the stream and of the exchanges. This hook alone does not open a stream. */
export function useConnection(): ConnectionState {
  return useStore(useRealtimeClient().connection);
}
