"use client";
/** PLACEHOLDER for parallel work; the exported names and shapes stay. */
import { createContext, useContext, useEffect, useMemo, useRef, useState, useSyncExternalStore } from "react";
import { realtimeClient } from "./client.ts";
import type { ConnectionState, RealtimeClient, SymbolState } from "./types.ts";

/** Which client the hooks below it use; by default the one of this page's own origin. */
export const RealtimeContext = createContext<RealtimeClient | null>(null);

export function useRealtimeClient(): RealtimeClient {
  return useContext(RealtimeContext) ?? realtimeClient();
}

export interface RealtimeTicker extends SymbolState {
  /** Try again now. */
  readonly reconnect: () => void;
}

const IDLE: SymbolState = Object.freeze({ ticker: null, latest: null, heardAt: null, status: "idle", isConnected: false, error: null });
const idleStore = { subscribe: () => () => {}, getSnapshot: () => IDLE, getServerSnapshot: () => IDLE };

export function useRealtimeTicker({ symbol, enabled = true }: { symbol: string; enabled?: boolean }): RealtimeTicker {
  const client = useRealtimeClient();
  const store = enabled ? client.symbol(symbol) : idleStore;
  const state = useSyncExternalStore(store.subscribe, store.getSnapshot, store.getServerSnapshot);
  return useMemo(() => ({ ...state, reconnect: client.reconnect }), [state, client]);
}

/** All of these symbols' states, by the symbol as it was asked for. */
export function useRealtimeTickers(symbols: readonly string[]): Readonly<Record<string, SymbolState>> {
  const client = useRealtimeClient();
  const key = symbols.join(",");
  const store = useMemo(() => {
    const names = key ? key.split(",") : [];
    let last: Record<string, SymbolState> = {};
    const read = () => {
      const now = Object.fromEntries(names.map((name) => [name, client.symbol(name).getSnapshot()]));
      if (names.some((name) => now[name] !== last[name])) last = now;
      return last;
    };
    return {
      subscribe: (listener: () => void) => {
        const ends = names.map((name) => client.symbol(name).subscribe(listener));
        return () => { for (const end of ends) end(); };
      },
      read,
    };
  }, [client, key]);
  return useSyncExternalStore(store.subscribe, store.read, store.read);
}

/** Milliseconds since any exchange last confirmed this symbol's price, renewed each second; null while nothing is known. */
export function useTickerAge(symbol: string): number | null {
  const client = useRealtimeClient();
  const [, renew] = useState(0);
  const store = useRef(client.symbol(symbol)).current;
  useEffect(() => { const timer = setInterval(() => renew((n) => n + 1), 1000); return () => clearInterval(timer); }, []);
  const { heardAt } = store.getSnapshot();
  return heardAt === null ? null : Date.now() - heardAt;
}

/** How the stream and the exchanges are doing. */
export function useConnection(): ConnectionState {
  const { connection } = useRealtimeClient();
  return useSyncExternalStore(connection.subscribe, connection.getSnapshot, connection.getServerSnapshot);
}
