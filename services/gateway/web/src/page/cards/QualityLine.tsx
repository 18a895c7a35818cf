/** A sentence that says how far to trust the price. */
import { formatPrice } from "../../format.ts";
import { trustOf } from "../../trust.ts";
import type { SymbolState } from "../../types.ts";
import { useTickerAge } from "../../useRealtimeTicker.ts";
import { exchangeName } from "../names.ts";
import { StateMark } from "../parts/StateMark.tsx";
import { REASON_FIELDS, reasonOf } from "../parts/words.ts";
import { type Sources, useSources } from "../sources.ts";
import "./QualityLine.css";

export const QUALITY_FIELDS = ["dp", "confidence", "sourcesTotal", ...REASON_FIELDS] as const;
type QualityState = SymbolState<(typeof QUALITY_FIELDS)[number]>;

interface Props {
  readonly symbol: string;
  readonly state: QualityState;
  readonly isPaused: boolean;
}

export function QualityLine({ symbol, state, isPaused }: Props) {
  const ageMs = useTickerAge(symbol);
  const sources = useSources(state.latest?.quality === "single" ? state.latest.symbol : null);
  const trust = trustOf(state);
  return (
    <p className="quality" data-trust={trust}>
      <StateMark state={isPaused ? "paused" : trust} />
      <span>{isPaused ? "Paused: this is not the current price." : sentenceOf(state, ageMs, sources)}</span>
    </p>
  );
}

function sentenceOf(state: QualityState, ageMs: number | null, sources: Sources): string {
  const { latest } = state;
  const trust = trustOf(state);
  if (trust === "live" && latest?.confidence != null) {
    const { sourcesUsed, sourcesTotal, confidence, dp } = latest;
    const of = sourcesUsed === sourcesTotal ? `${sourcesUsed}` : `${sourcesUsed} of ${sourcesTotal}`;
    return `${of} exchanges agree within ±${formatPrice(confidence, dp).plain}`;
  }
  const [used, ...others] = sources.filter((source) => source.usedPrice !== null);
  return reasonOf(state, ageMs, used && !others.length ? exchangeName(used.exchange) : undefined);
}
