import type { RealtimeClient, Store, SymbolState } from "../types.ts";

/** Return a client that gives another store for each symbol, made of its own one when it is first asked for. */
export function withStores(client: RealtimeClient, make: (store: Store<SymbolState>) => Store<SymbolState>): RealtimeClient {
  const stores = new Map<string, Store<SymbolState>>();
  return {
    ...client,
    symbol(symbol) {
      let store = stores.get(symbol);
      if (!store) {
        store = make(client.symbol(symbol));
        stores.set(symbol, store);
      }
      return store;
    },
  };
}
