/** A client whose symbols have the states that a test sets. */
import { act } from "@testing-library/react";
import { createElement, type ReactNode } from "react";
import { IDLE } from "../../src/client.ts";
import { pausable } from "../../src/page/pause.ts";
import type {
  Attach,
  ConnectionState,
  FeedStatus,
  Field,
  Quality,
  RealtimeClient,
  Store,
  SymbolState,
  Ticker,
  TickerSource,
} from "../../src/types.ts";
import { RealtimeContext } from "../../src/useRealtimeTicker.ts";
import { type Members, message } from "../fakes.ts";

/** A state whose ticker has all members. */
type WholeState = SymbolState<Field>;

interface Settable<T> extends Store<T> {
  readonly listeners: ReadonlySet<() => void>;
  set(next: T): void;
}

function settable<T>(initial: T): Settable<T> {
  let current = initial;
  const listeners = new Set<() => void>();
  return {
    listeners,
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
  private readonly symbols = new Map<string, Settable<WholeState>>();
  readonly connection = settable<ConnectionState>({ status: "live", exchanges: {}, simulated: false });
  reconnect = () => {};
  store = <T>(_: string, make: (attach: Attach) => Store<T>): Store<T> => make(() => ({ get: () => {}, end: () => {} }));
  close = () => {};

  symbol = (symbol: string): Settable<WholeState> => {
    let store = this.symbols.get(symbol);
    if (!store) {
      store = settable<WholeState>({ ...IDLE, status: "connecting" });
      this.symbols.set(symbol, store);
    }
    return store;
  };

  /** Set a symbol's state, and render the components that show it. */
  say(symbol: string, state: WholeState) {
    act(() => this.symbol(symbol).set(state));
  }

  /** Gives components this client, as pages give them theirs. */
  private readonly given = pausable(this);
  wrapper = ({ children }: { children: ReactNode }) => createElement(RealtimeContext, { value: this.given }, children);
}

let seq = 0;

/** Return the state of a symbol with a price of this quality, live by default. */
export function state(symbol: string, quality: Quality, more: Members = {}, rest: Partial<WholeState> = {}) {
  seq += 1;
  const latest = message(symbol, seq, { quality, ...more });
  const status = quality === "stale" || quality === "down" ? "stale" : "live";
  const ticker = latest.price === null ? null : (latest as Ticker<Field>);
  const all: WholeState = {
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
