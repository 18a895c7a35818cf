/** A sentence that says how far to trust the price. */
import { formatPrice } from "../../format.ts";
import { trustOf } from "../../trust.ts";
import type { SymbolState } from "../../types.ts";
import { useTickerAge } from "../../useRealtimeTicker.ts";
import { StateMark } from "../parts/StateMark.tsx";
import { reasonOf } from "../parts/words.ts";
import "./QualityLine.css";

interface Props {
  readonly symbol: string;
  readonly state: SymbolState;
  readonly isPaused: boolean;
}

export function QualityLine({ symbol, state, isPaused }: Props) {
  const ageMs = useTickerAge(symbol);
  const trust = trustOf(state);
  return (
    <p className="quality" data-trust={trust}>
      <StateMark state={isPaused ? "paused" : trust} />
      <span>{isPaused ? "Paused: this is not the current price." : sentenceOf(state, ageMs)}</span>
    </p>
  );
}

function sentenceOf(state: SymbolState, ageMs: number | null): string {
  const { latest } = state;
  const trust = trustOf(state);
  if (trust === "live" && latest?.confidence != null) {
    const { sourcesUsed, sourcesTotal, confidence, dp } = latest;
    const of = sourcesUsed === sourcesTotal ? `${sourcesUsed}` : `${sourcesUsed} of ${sourcesTotal}`;
    return `${of} exchanges agree within ±${formatPrice(confidence, dp).plain}`;
  }
  return reasonOf(state, ageMs);
}
