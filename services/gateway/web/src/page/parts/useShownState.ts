/** A symbol's state as the page shows it: the current state or, while updates are paused, the state at the pause. */
import { useState } from "react";
import type { Field, SymbolState, Ticker } from "../../types.ts";
import { useRealtimeTicker } from "../../useRealtimeTicker.ts";
import { pausedAt } from "../settings.ts";
import { useValue } from "../value.ts";

export interface ShownState<F extends Field> {
  readonly state: SymbolState<F>;
  /** The newest known ticker. It stays when the symbol has no price any more, to be shown as an old one. */
  readonly lastTicker: Ticker<F> | null;
  readonly isPaused: boolean;
}

export function useShownState<F extends Field>(symbol: string, fields: readonly F[]): ShownState<F> {
  const state = useRealtimeTicker({ symbol, fields });
  const isPaused = useValue(pausedAt) !== null;
  const [lastTicker, setLastTicker] = useState(state.ticker);
  if (state.ticker && state.ticker !== lastTicker) setLastTicker(state.ticker);
  return { state, lastTicker: state.ticker ?? lastTicker, isPaused };
}
