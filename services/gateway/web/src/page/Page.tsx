/** The page: the bar, the state of the exchanges, and a card for each chosen symbol. */
import { useCallback, useEffect } from "react";
import { MarketPulseTicker } from "../MarketPulseTicker.tsx";
import { SymbolCard } from "./cards/SymbolCard.tsx";
import { chosenSymbols } from "./chosenSymbols.ts";
import { CopyLink } from "./controls/CopyLink.tsx";
import { Display } from "./controls/Display.tsx";
import { Search } from "./controls/Search.tsx";
import { SortChoice } from "./controls/SortChoice.tsx";
import { ExchangeStrip } from "./exchanges/ExchangeStrip.tsx";
import { useListing, useListingFailure } from "./listing.ts";
import "./Page.css";
import { useSimulated } from "./simulated.ts";
import { useSorted } from "./sorting.ts";
import { useValue } from "./value.ts";

const NONE: readonly string[] = [];

export function Page() {
  const featured = useListing()?.featured ?? NONE;
  const chosen = useValue(chosenSymbols);
  const symbols = chosen ?? featured;
  const isKnown = chosen !== null || featured.length > 0; // until then there is nothing in the place of the cards
  const order = useSorted(symbols);
  const { show, remove, replace } = useChanges(symbols);
  useHash(show);
  return (
    <>
      <header className="page-bar">
        <MarketPulseTicker linkTo={toCard} />
      </header>
      <main>
        <h1 className="visually-hidden">Live prices across exchanges</h1>
        <SimulatedBanner />
        <div className="tools">
          <ExchangeStrip symbols={featured} />
          <div className="controls">
            <Search shown={symbols} onChoose={show} />
            <SortChoice />
            <CopyLink symbols={symbols} />
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

/** Return the functions by which the visitor adds, removes and replaces cards. */
function useChanges(symbols: readonly string[]) {
  const show = useCallback(
    (symbol: string) => {
      if (!symbols.includes(symbol)) chosenSymbols.set([...symbols, symbol]);
      // The card may not be drawn yet.
      requestAnimationFrame(() => document.getElementById(symbol)?.focus());
    },
    [symbols],
  );
  const remove = useCallback((symbol: string) => chosenSymbols.set(symbols.filter((other) => other !== symbol)), [symbols]);
  const replace = useCallback(
    (symbol: string, by: string) => chosenSymbols.set([...new Set(symbols.map((other) => (other === symbol ? by : other)))]),
    [symbols],
  );
  return { show, remove, replace };
}

/** Show the card that a tile of the bar links to (`#BTC-USDT`), even if it was removed before. */
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
