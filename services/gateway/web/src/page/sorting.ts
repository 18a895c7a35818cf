/** The order of the cards. */
import { useEffect, useMemo, useState } from "react";
import type { RealtimeClient } from "../types.ts";
import { useRealtimeClient } from "../useRealtimeTicker.ts";
import { pausedAt, type Sort, sort } from "./settings.ts";
import { useValue } from "./value.ts";

const RENEW_MS = 2000; // cards that changed places with each price could not be read

/** Return the symbols in their own order, by 24-hour change (largest first, unknown changes last), or by name. */
export function sorted(symbols: readonly string[], by: Sort, changeOf: (symbol: string) => number): readonly string[] {
  if (by === "own") return symbols;
  if (by === "name") return [...symbols].sort((a, b) => a.localeCompare(b, "en"));
  const known = (symbol: string) => {
    const change = changeOf(symbol);
    return Number.isNaN(change) ? Number.NEGATIVE_INFINITY : change;
  };
  return [...symbols].sort((a, b) => (known(a) === known(b) ? 0 : known(b) - known(a)));
}

export function useSorted(symbols: readonly string[]): readonly string[] {
  const client = useRealtimeClient();
  const by = useValue(sort);
  const isMoving = useValue(pausedAt) === null && by === "change";
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    if (!isMoving) return;
    const timer = setInterval(() => setTurn((last) => last + 1), RENEW_MS);
    return () => clearInterval(timer);
  }, [isMoving]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: each turn reads the current changes
  return useMemo(() => sorted(symbols, by, changeNow(client)), [symbols, by, client, turn]);
}

function changeNow(client: RealtimeClient): (symbol: string) => number {
  return (symbol) =>
    client.symbol(symbol, { fields: ["changePercent24h"] }).getSnapshot().ticker?.changePercent24h ?? Number.NaN;
}
