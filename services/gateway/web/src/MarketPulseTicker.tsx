/** The Market Pulse bar: a few symbols at a glance, how far to trust each, and how many are connected. */
import "./MarketPulseTicker.css";
import { ConnectedCount } from "./page/ConnectedCount.tsx";
import { useListing } from "./page/listing.ts";
import { shortSymbol } from "./page/names.ts";
import { PauseButton } from "./page/PauseButton.tsx";
import { Tile } from "./page/Tile.tsx";
import { useConnection } from "./useRealtimeTicker.ts";

interface Props {
  /** What to show; without it, what the gateway features. */
  readonly symbols?: readonly string[];
  /** One dense line, without the sparklines. */
  readonly isCompact?: boolean;
  /** Where a tile leads. */
  readonly linkTo?: (symbol: string) => string;
}

const PLACEHOLDERS = ["a", "b", "c", "d"];
const toPage = (symbol: string) => `/?symbols=${shortSymbol(symbol)}`;

export function MarketPulseTicker({ symbols, isCompact = false, linkTo = toPage }: Props) {
  const listing = useListing();
  const shown = symbols ?? listing?.featured;
  return (
    <section className="bar" aria-label="Market Pulse" data-compact={isCompact || undefined}>
      <div className="bar-head">
        <span className="bar-brand">
          <svg viewBox="0 0 32 32" aria-hidden="true">
            <path d="M2 18h7l4-11 6 18 4-7h7" />
          </svg>
          Market Pulse
        </span>
        <ConnectedCount symbols={shown ?? []} />
        <SimulatedTag />
        <PauseButton />
      </div>
      <ul className="tiles">
        {shown?.map((symbol) => <Tile key={symbol} symbol={symbol} href={linkTo(symbol)} isCompact={isCompact} />) ??
          PLACEHOLDERS.map((key) => <li key={key} className="tile" />)}
      </ul>
    </section>
  );
}

function SimulatedTag() {
  return useConnection().simulated && <span className="simulated-tag">Simulated</span>;
}
