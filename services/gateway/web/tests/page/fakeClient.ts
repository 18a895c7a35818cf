/** A client whose symbols have the states that a test sets. */
import { act } from "@testing-library/react";
import { createElement, type ReactNode } from "react";
import { IDLE } from "../../src/client.ts";
import type {
  ConnectionState,
  FeedStatus,
  Quality,
  RealtimeClient,
  Store,
  SymbolState,
  Ticker,
  TickerMessage,
  TickerSource,
} from "../../src/types.ts";
import { RealtimeContext } from "../../src/useRealtimeTicker.ts";
import { message } from "../fakes.ts";

interface Settable<T> extends Store<T> {
  set(next: T): void;
}

function settable<T>(initial: T): Settable<T> {
  let current = initial;
  const listeners = new Set<() => void>();
  return {
    subscribe(listener) {
      const own = () => listener();
      listeners.add(own);
      return () => listeners.delete(own);
    },
    getSnapshot: () => current,
    getServerSnapshot: () => initial,
    set(next) {
      current = next;
      for (const listener of listeners) listener();
    },
  };
}

export class FakeClient implements RealtimeClient {
  private readonly symbols = new Map<string, Settable<SymbolState>>();
  readonly connection = settable<ConnectionState>({ status: "live", exchanges: {}, simulated: false });
  reconnect = () => {};
  close = () => {};

  symbol = (symbol: string): Settable<SymbolState> => {
    let store = this.symbols.get(symbol);
    if (!store) {
      store = settable<SymbolState>({ ...IDLE, status: "connecting" });
      this.symbols.set(symbol, store);
    }
    return store;
  };

  /** Set a symbol's state, and render the components that show it. */
  say(symbol: string, state: SymbolState) {
    act(() => this.symbol(symbol).set(state));
  }

  wrapper = ({ children }: { children: ReactNode }) => createElement(RealtimeContext, { value: this }, children);
}

let seq = 0;

/** Return the state of a symbol with a price of this quality, live by default. */
export function state(symbol: string, quality: Quality, more: Partial<TickerMessage> = {}, rest: Partial<SymbolState> = {}) {
  seq += 1;
  const latest = message(symbol, seq, { quality, ...more });
  const status = quality === "stale" || quality === "down" ? "stale" : "live";
  const ticker = latest.price === null ? null : (latest as Ticker);
  const all: SymbolState = {
    ticker,
    latest,
    heardAt: Date.now(),
    status,
    isConnected: status === "live",
    error: null,
    ...rest,
  };
  return Object.freeze({ ...all, isConnected: all.status === "live" });
}

export function source(exchange: string, more: Partial<TickerSource> = {}): TickerSource {
  return { exchange, price: 100, usedPrice: 100, weight: 0.5, ageMs: 20, state: "used", reason: null, ...more };
}

export function feed(exchange: string, more: Partial<FeedStatus> = {}): FeedStatus {
  return {
    v: 1,
    exchange,
    state: "connected",
    reason: null,
    since: Date.now(),
    symbols: 4,
    lastTickTime: Date.now(),
    reconnects: 0,
    instance: "here:1",
    simulated: false,
    instances: 1,
    others: [],
    ...more,
  };
}
