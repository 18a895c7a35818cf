/**
 * How far prices moved while the page was hidden: each symbol's price when the page was hidden, compared with its first live
 * price afterwards.
 */
import { useEffect } from "react";
import type { RealtimeClient } from "../../types.ts";
import { useRealtimeClient } from "../../useRealtimeTicker.ts";
import { createValue } from "../value.ts";

const WORTH_TELLING_MS = 60_000; // shorter absences are not reported

export interface Away {
  readonly awayMs: number;
  /** By how many percent each symbol's price moved; a symbol is missing until it has a live price again. */
  readonly moves: Readonly<Record<string, number>>;
}

export const away = createValue<Away | null>(null);

/** Record how far these symbols move whenever the page is hidden. */
export function useAway(symbols: readonly string[]) {
  const client = useRealtimeClient();
  useEffect(() => {
    let left: { at: number; prices: ReadonlyMap<string, number> } | null = null;
    let follow = () => {};
    const look = () => {
      follow();
      const now = Date.now();
      if (document.hidden) left = { at: now, prices: livePrices(client, symbols) };
      else if (left && now - left.at >= WORTH_TELLING_MS) follow = tellMoves(client, left.prices, now - left.at, now);
    };
    document.addEventListener("visibilitychange", look);
    return () => {
      document.removeEventListener("visibilitychange", look);
      follow();
    };
  }, [client, symbols]);
}

function livePrices(client: RealtimeClient, symbols: readonly string[]): ReadonlyMap<string, number> {
  const prices = symbols.map((symbol): [string, number | undefined] => {
    const { isConnected, ticker } = client.symbol(symbol, { fields: [] }).getSnapshot();
    return [symbol, isConnected ? ticker?.price : undefined];
  });
  return new Map(prices.filter((entry): entry is [string, number] => entry[1] !== undefined));
}

/** Add each symbol's move to `away` when its first live price since the return arrives. Returns a function that stops this. */
function tellMoves(client: RealtimeClient, before: ReadonlyMap<string, number>, awayMs: number, returnedAt: number) {
  away.set({ awayMs, moves: {} });
  const ends = [...before].map(([symbol, price]) => {
    const store = client.symbol(symbol, { fields: [] });
    const end = store.subscribe(() => {
      const { isConnected, ticker, heardAt } = store.getSnapshot();
      if (!isConnected || !ticker || (heardAt ?? 0) < returnedAt) return;
      end();
      const now = away.get();
      if (now) away.set({ awayMs, moves: { ...now.moves, [symbol]: 100 * (ticker.price / price - 1) } });
    });
    return end;
  });
  return () => {
    for (const end of ends) end();
  };
}
