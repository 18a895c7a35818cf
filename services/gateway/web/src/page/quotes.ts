/** Gives symbols that are named without a quote the quote that the visitor chose. */
import { useMemo, useRef, useSyncExternalStore } from "react";
import type { components } from "../api.ts";
import type { RealtimeClient } from "../types.ts";
import { useRealtimeClient } from "../useRealtimeTicker.ts";
import { useListing } from "./listing.ts";

/** The quotes that the page always offers. */
export const QUOTES: readonly string[] = ["USDT", "USD"];

type Listed = readonly components["schemas"]["ListedSymbol"][];

/** Return a name with a quote. A name that has one already stays as it is, and so does every name if there is no quote. */
export function inQuote(name: string, quote: string | null): string {
  return quote === null || /[^\p{L}\p{N}]/u.test(name) ? name : `${name}-${quote}`;
}

/** Return the listed symbol for a base: in one of `QUOTES` if there is one, else the one that most exchanges list. */
export function listedFor(base: string, listed: Listed): string | null {
  const rank = ({ symbol, exchanges }: Listed[number]) =>
    exchanges.length + (QUOTES.includes(symbol.slice(base.length + 1)) ? 1000 : 0);
  const [best] = listed.filter(({ symbol }) => symbol.startsWith(`${base}-`)).sort((a, b) => rank(b) - rank(a));
  return best?.symbol ?? null;
}

/**
 * Return the symbol of each name. A name without a quote gets the chosen quote. If no quote was chosen, the name itself is the
 * symbol, and the gateway decides its quote. If the gateway does not know the symbol in the chosen quote, the name gets a symbol
 * that is listed. The map is the same object until its content changes.
 */
export function useInQuote(names: readonly string[], quote: string | null): ReadonlyMap<string, string> {
  const client = useRealtimeClient();
  const listed = useListing()?.symbols;
  const last = useRef<ReadonlyMap<string, string>>(new Map());
  const key = names.join();
  // biome-ignore lint/correctness/useExhaustiveDependencies: the same names in a new array are the same names
  const { subscribe, read } = useMemo(() => storeOf(client, names, quote, listed ?? []), [client, key, quote, listed]);
  const getSnapshot = () => {
    const next = read();
    if (`${[...next]}` !== `${[...last.current]}`) last.current = next;
    return last.current;
  };
  return useSyncExternalStore(subscribe, getSnapshot, getSnapshot);
}

function storeOf(client: RealtimeClient, names: readonly string[], quote: string | null, listed: Listed) {
  const wanted = names.map((name) => ({ name, symbol: inQuote(name, quote) }));
  const changed = wanted.filter(({ name, symbol }) => name !== symbol && name !== quote);
  const stores = new Map(changed.map(({ symbol }) => [symbol, client.symbol(symbol, { fields: [], maxHz: 0 })]));
  return {
    subscribe(listener: () => void) {
      const ends = [...stores.values()].map((store) => store.subscribe(listener));
      return () => {
        for (const end of ends) end();
      };
    },
    read(): ReadonlyMap<string, string> {
      return new Map(
        wanted.map(({ name, symbol }) => {
          const isUnknown = name === quote || stores.get(symbol)?.getSnapshot().error?.code === "unknown_symbol";
          return [name, (isUnknown && listedFor(name, listed)) || symbol];
        }),
      );
    },
  };
}
