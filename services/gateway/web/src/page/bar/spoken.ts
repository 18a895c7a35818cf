/** The texts that screen readers read aloud. All functions are pure. */
import { direction, formatPercent, formatPrice } from "../../format.ts";
import { trustOf } from "../../trust.ts";
import type { SymbolState } from "../../types.ts";
import { symbolName } from "../names.ts";
import type { Standing } from "./standings.ts";

export const SPOKEN_FIELDS = ["dp", "changePercent24h"] as const;
export type SpokenState = SymbolState<(typeof SPOKEN_FIELDS)[number]>;

const MANY = 3; // if more symbols change at once, only the number of live prices is announced

/**
 * Return the text that announces which symbols' states changed since the last announcement (`before`; null at the start).
 * It is empty if no state changed, or if all symbols are live at the start.
 */
export function transitionsOf(before: readonly Standing[] | null, after: readonly Standing[]): string {
  const changed = after.filter((now) => {
    const was = before?.find((standing) => standing.symbol === now.symbol);
    return was ? was.trust !== now.trust : now.trust !== "live";
  });
  if (changed.length > MANY) return `${after.filter((now) => now.isConnected).length} of ${after.length} prices are live.`;
  return changed.map((now) => `${nameOf(now.symbol)}: ${now.trust === "live" ? "live." : now.reason}`).join(" ");
}

/** Return one sentence for each price: `Bitcoin 63,227.15 USDT, down 1.92%.` An old price is called stale. */
export function summaryOf(states: readonly (readonly [string, SpokenState])[]): string {
  return states.map(([symbol, state]) => `${nameOf(symbol)} ${priceOf(state)}.`).join(" ");
}

function priceOf(state: SpokenState): string {
  const { ticker } = state;
  if (!ticker) return "has no price";
  const price = `${formatPrice(ticker.price, ticker.dp).full} ${symbolName(ticker.symbol).quote}`;
  const trust = trustOf(state);
  if (trust === "stale" || trust === "offline") return `was ${price}, which is stale`;
  const to = direction(ticker.changePercent24h);
  return to === "flat" ? `${price}, unchanged` : `${price}, ${to} ${formatPercent(Math.abs(ticker.changePercent24h)).slice(1)}`;
}

function nameOf(symbol: string): string {
  const { base, coin } = symbolName(symbol);
  return coin ?? base;
}
