import type { RealtimeClient, Store, SymbolState } from "../types.ts";

/** Return a client that wraps each symbol's store with `make`, once, when the symbol is first requested. */
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
