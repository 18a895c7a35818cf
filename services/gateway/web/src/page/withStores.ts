import type { RealtimeClient, Store } from "../types.ts";

/** Return a client that wraps each symbol's store with `make`, once, when that store is first requested. */
export function withStores(client: RealtimeClient, make: <T>(store: Store<T>) => Store<T>): RealtimeClient {
  const made = new WeakMap<object, unknown>();
  function once<T>(store: Store<T>): Store<T> {
    if (!made.has(store)) made.set(store, make(store));
    return made.get(store) as Store<T>;
  }
  return {
    ...client,
    symbol: (symbol, wish) => once(client.symbol(symbol, wish)),
    store: (key, make) => once(client.store(key, make)),
  };
}
