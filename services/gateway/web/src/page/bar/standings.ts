/** The standing of each symbol: how far to trust it, and since when. It changes with a symbol's state, not with each price. */
import { useMemo, useSyncExternalStore } from "react";
import { tickerAge } from "../../client.ts";
import { countsAsConnected, isAgeing, type Trust, trustOf } from "../../trust.ts";
import type { RealtimeClient, Store } from "../../types.ts";
import { useRealtimeClient } from "../../useRealtimeTicker.ts";
import { REASON_FIELDS, type ReasonState, reasonOf } from "../parts/words.ts";

export interface Standing {
  readonly symbol: string;
  readonly trust: Trust;
  /** Whether it counts as connected. */
  readonly isConnected: boolean;
  /** Since when `trust` and `isConnected` have been so (`Date.now()`). */
  readonly since: number;
  /** The sentence that explains `trust`. */
  readonly reason: string;
}

/** Return a symbol's standing: the same object as before if only the price has changed. */
export function standingOf(symbol: string, state: ReasonState, before: Standing | undefined, now: number): Standing {
  const trust = trustOf(state);
  const counts = countsAsConnected(state);
  const reason = reasonOf(state, null);
  if (before?.trust === trust && before.isConnected === counts)
    return before.reason === reason ? before : { ...before, reason };
  // An ageing price has stood like this for as long as the exchanges have been silent, which is longer than the page knows it.
  const silentMs = state.latest && isAgeing(state.latest) ? (tickerAge(state, now) ?? 0) : 0;
  return { symbol, trust, isConnected: counts, since: now - silentMs, reason };
}

/** Make a store of these symbols' standings, in the same order. */
function standingsStore(client: RealtimeClient, symbols: readonly string[]): Store<readonly Standing[]> {
  const stores = symbols.map((symbol) => client.symbol(symbol, { fields: REASON_FIELDS }));
  let standings: readonly Standing[] = [];
  function getSnapshot() {
    const now = Date.now();
    const next = stores.map((store, index) => standingOf(symbols[index] ?? "", store.getSnapshot(), standings[index], now));
    if (next.length !== standings.length || next.some((standing, index) => standing !== standings[index])) standings = next;
    return standings;
  }
  return {
    subscribe(listener) {
      const ends = stores.map((store) => store.subscribe(listener));
      return () => {
        for (const end of ends) end();
      };
    },
    getSnapshot,
    getServerSnapshot: getSnapshot,
  };
}

export function useStandings(symbols: readonly string[]): readonly Standing[] {
  const client = useRealtimeClient();
  const key = symbols.join();
  // biome-ignore lint/correctness/useExhaustiveDependencies: the same symbols in a new array are the same symbols
  const { subscribe, getSnapshot } = useMemo(() => standingsStore(client, symbols), [client, key]);
  return useSyncExternalStore(subscribe, getSnapshot, getSnapshot);
}
