/**
 * The sources of each symbol's price: the exchanges with their own prices. They are requested by REST every few seconds, for all
 * cards together, because in the stream they would be most of the bytes.
 */
import { useEffect } from "react";
import type { Problem, TickerMessage, TickerSource } from "../types.ts";
import { isTicker } from "../wire.ts";
import { poll } from "./poll.ts";
import { pausedAt } from "./settings.ts";
import { createValue, useValue, type Value } from "./value.ts";

const EVERY_MS = 3000;

/** A new array with every answer. */
export type Sources = readonly TickerSource[];

const NONE: Sources = [];
const NOTHING_KNOWN = createValue(NONE);
const known = new Map<string, Value<Sources>>();
const readers = new Map<string, number>(); // how many readers each symbol has
const unlisted = new Set<string>(); // the symbols for which the gateway would refuse the whole request
let stop = () => {};
let starting: ReturnType<typeof setTimeout> | undefined;

/** Return a symbol's newest sources. They are renewed while the symbol has a reader. */
export function sourcesOf(symbol: string): Value<Sources> {
  const value = known.get(symbol) ?? createValue(NONE);
  known.set(symbol, value);
  return value;
}

/** Renew a symbol's sources until the returned function is called. */
export function readSources(symbol: string): () => void {
  count(symbol, 1);
  return () => count(symbol, -1);
}

function count(symbol: string, change: 1 | -1) {
  const before = readers.get(symbol) ?? 0;
  if (before + change) readers.set(symbol, before + change);
  else readers.delete(symbol);
  if (before && readers.size) return;
  clearTimeout(starting);
  starting = setTimeout(start); // once for all cards that mount in one turn
}

/** Request the sources of all symbols that have a reader from now on, the first ones at once. */
function start() {
  unlisted.clear();
  stop();
  stop = readers.size ? poll(url, EVERY_MS, take) : () => {};
}

function url(): string | null {
  const symbols = [...readers.keys()].filter((symbol) => !unlisted.has(symbol));
  return symbols.length ? `/api/ticker?symbols=${encodeURIComponent(symbols.join())}&fields=price,sources` : null;
}

function take(answer: unknown) {
  const { tickers = [], code, suggestions } = answer as Partial<Problem> & { tickers?: readonly TickerMessage<"sources">[] };
  // Other problems have suggestions, too: then it is only not known yet whether a symbol is listed.
  if (code === "unknown_symbol") for (const symbol of Object.keys(suggestions ?? {})) unlisted.add(symbol);
  for (const ticker of tickers) if (isTicker(ticker) && ticker.sources) sourcesOf(ticker.symbol).set(ticker.sources);
}

/** Return a symbol's sources, renewed every few seconds unless updates are paused. Without a symbol there are no sources. */
export function useSources(symbol: string | null): Sources {
  const isPaused = useValue(pausedAt) !== null;
  useEffect(() => (isPaused || symbol === null ? undefined : readSources(symbol)), [symbol, isPaused]);
  return useValue(symbol === null ? NOTHING_KNOWN : sourcesOf(symbol));
}
