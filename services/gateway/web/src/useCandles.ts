"use client";
/** A React hook for candles. It is a module of its own, so that pages with prices alone do not carry it. */
import { useSyncExternalStore } from "react";
import { type CandlesOptions, type CandlesState, candlesOf, type Interval } from "./candles.ts";
import { useRealtimeClient } from "./useRealtimeTicker.ts";

export type { Candle, CandlesOptions, CandlesState, CandlesStatus, Interval } from "./candles.ts";

/** Return a symbol's newest candles, and whether to trust them now. All callers share one series, and all tabs one stream. */
export function useCandles(symbol: string, interval: Interval, options?: CandlesOptions): CandlesState {
  const { subscribe, getSnapshot, getServerSnapshot } = candlesOf(useRealtimeClient(), symbol, interval, options);
  return useSyncExternalStore(subscribe, getSnapshot, getServerSnapshot);
}
