/** The Market Pulse bar: the prices of a few symbols, how far to trust each, and how many are connected. */
import { useMemo } from "react";
import "./MarketPulseTicker.css";
import { Announcer } from "./page/bar/Announcer.tsx";
import { AwayNote } from "./page/bar/AwayNote.tsx";
import { useAway } from "./page/bar/away.ts";
import { ConnectedCount } from "./page/bar/ConnectedCount.tsx";
import { PauseButton } from "./page/bar/PauseButton.tsx";
import { Tile } from "./page/bar/Tile.tsx";
import { featuredNames, useListing, useListingFailure } from "./page/listing.ts";
import { useInQuote } from "./page/quotes.ts";
import { useSimulated } from "./page/simulated.ts";

interface Props {
  /** The symbols to show; by default the gateway's featured symbols. */
  readonly symbols?: readonly string[];
  /** The quote of symbols without one; by default the gateway's. */
  readonly quote?: string | null;
  /** Whether the bar is one dense line without sparklines. */
  readonly isCompact?: boolean;
  /** Returns the URL that a symbol's tile links to; by default a page of that symbol. */
  readonly linkTo?: (symbol: string) => string;
  /** The links' `target` attribute: `_blank` inside a frame. */
  readonly target?: string;
}

const PLACEHOLDERS = ["a", "b", "c", "d"];
const toPage = (symbol: string) => `/?symbols=${symbol}`;

export function MarketPulseTicker({ symbols, quote = null, isCompact = false, linkTo = toPage, target }: Props) {
  const listing = useListing();
  const chosen = useInQuote(symbols ?? featuredNames(listing), quote);
  const shown = useMemo(() => [...new Set(chosen.values())], [chosen]);
  useAway(shown);
  return (
    <section className="bar" aria-label="Market Pulse" data-compact={isCompact || undefined}>
      <div className="bar-row">
        <div className="bar-head">
          <span className="bar-brand">
            <svg viewBox="0 0 32 32" aria-hidden="true">
              <path d="M2 18h7l4-11 6 18 4-7h7" />
            </svg>
            <span>Market Pulse</span>
          </span>
          <PauseButton />
          <span className="bar-count">{symbols || listing ? <ConnectedCount symbols={shown} /> : <Asking />}</span>
          <span className="bar-notes">
            <SimulatedTag />
            <AwayNote />
          </span>
        </div>
        <ul className="tiles">
          {shown.map((symbol) => (
            <Tile key={symbol} symbol={symbol} href={linkTo(symbol)} target={target} isCompact={isCompact} />
          ))}
          {!shown.length && PLACEHOLDERS.map((key) => <li key={key} className="tile" />)}
        </ul>
      </div>
      <Announcer symbols={shown} />
    </section>
  );
}

function SimulatedTag() {
  return useSimulated() && <span className="simulated-tag">Simulated</span>;
}

/** Stands in place of the count until the symbols to count are known. */
function Asking() {
  return <span className="label">{useListingFailure() === null ? "Connecting" : "The gateway does not answer"}</span>;
}
