/** One symbol's tile in the bar. */
import { memo } from "react";
import { direction, formatAge, formatPercent } from "../../format.ts";
import { useTickerAge } from "../../useRealtimeTicker.ts";
import { symbolName } from "../names.ts";
import { Change } from "../parts/Change.tsx";
import { Price } from "../parts/Price.tsx";
import { StateMark } from "../parts/StateMark.tsx";
import { useValue } from "../value.ts";
import { away } from "./away.ts";
import { Sparkline } from "./Sparkline.tsx";
import "./Tile.css";
import { trustOf } from "../../trust.ts";
import { useShownState } from "../parts/useShownState.ts";
import { REASON_FIELDS, type ReasonState, reasonOf, shortWords } from "../parts/words.ts";

const FIELDS = ["dp", "changePercent24h", ...REASON_FIELDS] as const;

interface Props {
  readonly symbol: string;
  /** The URL that the tile links to. */
  readonly href: string;
  readonly target: string | undefined;
  readonly isCompact: boolean;
}

export const Tile = memo(function Tile({ symbol, href, target, isCompact }: Props) {
  const { base, quote, coin } = symbolName(symbol);
  const { state, lastTicker, isPaused } = useShownState(symbol, FIELDS);
  const trust = trustOf(state);
  const isOld = trust === "stale" || trust === "offline";
  const dp = lastTicker?.dp ?? 2;
  return (
    <li className="tile" data-trust={trust}>
      <a className="tile-name" href={href} target={target}>
        <b>{base}</b> {coin && coin !== base && <span className="tile-coin">{coin}</span>}
        {quote && <span className="visually-hidden"> in {quote}</span>}
      </a>
      <span className="tile-notes">
        <TileAway symbol={symbol} />
        <TileState symbol={symbol} state={state} isPaused={isPaused} />
      </span>
      <span className="tile-price">
        <Price price={lastTicker?.price ?? null} dp={dp} quote={symbolName(lastTicker?.symbol ?? symbol).quote} isOld={isOld} />
      </span>
      <span className="tile-change">
        <Change percent={lastTicker?.changePercent24h ?? null} isOld={isOld} />
      </span>
      {!isCompact && <span className="tile-line">{lastTicker && <Sparkline symbol={symbol} dp={dp} />}</span>}
    </li>
  );
});

/** How far the price moved while the page was hidden. */
function TileAway({ symbol }: { symbol: string }) {
  const absence = useValue(away);
  const move = absence?.moves[symbol];
  if (!absence || move === undefined) return null;
  return (
    <span className="tile-away" data-direction={direction(move)} title={`While you were away for ${formatAge(absence.awayMs)}`}>
      {formatPercent(move)} while away
    </span>
  );
}

/** The dot with its words. The words of a live price are for screen readers only. */
function TileState({ symbol, state, isPaused }: { symbol: string; state: ReasonState; isPaused: boolean }) {
  const ageMs = useTickerAge(symbol);
  const trust = trustOf(state);
  const words = isPaused ? "paused" : shortWords(state, ageMs);
  return (
    <span className="tile-state" title={isPaused ? "Updates are paused" : reasonOf(state, ageMs)}>
      <span className={trust === "live" && !isPaused ? "visually-hidden" : undefined}>{words}</span>
      <StateMark state={isPaused ? "paused" : trust} isPulsing />
    </span>
  );
}
