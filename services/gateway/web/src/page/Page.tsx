/** The page: the bar, the state of the exchanges, and a card for each chosen symbol. */
import { useCallback, useEffect, useMemo } from "react";
import { MarketPulseTicker } from "../MarketPulseTicker.tsx";
import { SymbolCard } from "./cards/SymbolCard.tsx";
import { chosenQuote, chosenSymbols } from "./choice.ts";
import { CopyLink } from "./controls/CopyLink.tsx";
import { Display } from "./controls/Display.tsx";
import { QuoteChoice } from "./controls/QuoteChoice.tsx";
import { Search } from "./controls/Search.tsx";
import { SortChoice } from "./controls/SortChoice.tsx";
import { ExchangeStrip } from "./exchanges/ExchangeStrip.tsx";
import { featuredNames, useListing, useListingFailure } from "./listing.ts";
import { shortSymbol } from "./names.ts";
import "./Page.css";
import { inQuote, useInQuote } from "./quotes.ts";
import { useSimulated } from "./simulated.ts";
import { useSorted } from "./sorting.ts";
import { useValue } from "./value.ts";

export function Page() {
  const listing = useListing();
  const featured = featuredNames(listing);
  const chosen = useValue(chosenSymbols);
  const own = useValue(chosenQuote);
  const usual = listing?.quote ?? null;
  const quote = own ?? usual;
  const names = chosen ?? featured;
  const isKnown = chosen !== null || featured.length > 0; // until then there is nothing in the place of the cards
  const inBar = useSymbols(useInQuote(featured, own));
  const meant = useInQuote(names, own);
  const symbols = useSymbols(meant);
  const measured = symbols.length ? symbols : inBar; // the cards know their symbols first, so their stream has all fields
  const order = useSorted(symbols);
  const { show, remove, replace } = useChanges(meant, quote);
  useHash(show);
  return (
    <>
      <header className="page-bar">
        <MarketPulseTicker quote={own} linkTo={toCard} />
      </header>
      <main>
        <h1 className="visually-hidden">Live prices across exchanges</h1>
        <SimulatedBanner />
        <div className="tools">
          <ExchangeStrip symbols={measured} />
          <div className="controls">
            <Search shown={symbols.map((symbol) => inQuote(symbol, quote))} quote={quote} onChoose={show} />
            <QuoteChoice quote={quote} usual={usual} />
            <SortChoice />
            <CopyLink symbols={names} quote={own} />
            <Display />
          </div>
        </div>
        <div className="cards">
          {order.map((symbol) => (
            <SymbolCard key={symbol} symbol={symbol} onRemove={remove} onReplace={replace} />
          ))}
        </div>
        {isKnown && symbols.length === 0 && <Nothing />}
        <ListingFailure isKnown={isKnown} />
      </main>
      {isKnown && <Footer />}
    </>
  );
}

function SimulatedBanner() {
  return useSimulated() && <p className="banner">Simulated exchanges: these are not market prices.</p>;
}

/** Shown only while the page has no symbols to show. Otherwise the search says how old its list is. */
function ListingFailure({ isKnown }: { isKnown: boolean }) {
  const isFailing = useListingFailure() !== null;
  if (isKnown || !isFailing) return null;
  return <p className="nothing">The gateway cannot be asked which symbols it has. Trying again every few seconds.</p>;
}

function Nothing() {
  return (
    <p className="nothing">
      No symbol is shown. Add one above, or{" "}
      <button type="button" className="plain-button" onClick={() => chosenSymbols.set(null)}>
        show the featured ones
      </button>
      .
    </p>
  );
}

function Footer() {
  return (
    <footer className="page-footer">
      <a href="/docs">API</a>
      <span>
        Charts: <a href="https://www.tradingview.com/">TradingView Lightweight Charts</a>
      </span>
      <span>
        Licences: <a href="/licenses.md">what is bundled</a>, <a href="/archivo-license.md">the typeface</a>
      </span>
      <span>Reference prices for people and programs to read, not quotes to trade at.</span>
    </footer>
  );
}

function toCard(symbol: string): string {
  return `#${symbol}`;
}

/** Return the symbols that names stand for, each once. */
function useSymbols(meant: ReadonlyMap<string, string>): readonly string[] {
  return useMemo(() => [...new Set(meant.values())], [meant]);
}

/**
 * Return the functions by which the visitor adds, removes and replaces cards, each named by its symbol. `meant` has the symbol
 * of each chosen name. A symbol in the quote that is shown is kept without it, so that it follows the quote.
 */
function useChanges(meant: ReadonlyMap<string, string>, quote: string | null) {
  const show = useCallback(
    (symbol: string) => {
      const name = shortSymbol(symbol, quote);
      const known = [...meant].find(([own, shown]) => own === name || shown === symbol);
      if (!known) chosenSymbols.set([...meant.keys(), name]);
      const id = known?.[1] ?? inQuote(name, chosenQuote.get());
      // The card may not be drawn yet.
      requestAnimationFrame(() => document.getElementById(id)?.focus());
    },
    [meant, quote],
  );
  const remove = useCallback(
    (symbol: string) => chosenSymbols.set([...meant].filter(([, shown]) => shown !== symbol).map(([name]) => name)),
    [meant],
  );
  const replace = useCallback(
    (symbol: string, by: string) => {
      const names = [...meant].map(([name, shown]) => (shown === symbol ? shortSymbol(by, quote) : name));
      chosenSymbols.set([...new Set(names)]);
    },
    [meant, quote],
  );
  return { show, remove, replace };
}

/** Show the card that a tile of the bar links to (`#BTC`), even if it was removed before. */
function useHash(show: (symbol: string) => void) {
  useEffect(() => {
    const look = () => {
      const symbol = decodeURIComponent(location.hash.slice(1));
      if (symbol) show(symbol);
    };
    window.addEventListener("hashchange", look);
    return () => window.removeEventListener("hashchange", look);
  }, [show]);
}
