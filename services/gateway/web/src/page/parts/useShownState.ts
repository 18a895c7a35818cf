/** A symbol's state as the page shows it: the current state or, while updates are paused, the state at the pause. */
import { useState } from "react";
import type { SymbolState, Ticker } from "../../types.ts";
import { useRealtimeTicker } from "../../useRealtimeTicker.ts";
import { pausedAt } from "../settings.ts";
import { useValue } from "../value.ts";
import { useHeld } from "./useHeld.ts";

export interface ShownState {
  readonly state: SymbolState;
  /** The newest known ticker. It stays when the symbol has no price any more, to be shown as an old one. */
  readonly lastTicker: Ticker | null;
  readonly isPaused: boolean;
}

export function useShownState(symbol: string): ShownState {
  const state = useHeld(useRealtimeTicker({ symbol }));
  const isPaused = useValue(pausedAt) !== null;
  const [lastTicker, setLastTicker] = useState(state.ticker);
  if (state.ticker && state.ticker !== lastTicker) setLastTicker(state.ticker);
  return { state, lastTicker: state.ticker ?? lastTicker, isPaused };
}
