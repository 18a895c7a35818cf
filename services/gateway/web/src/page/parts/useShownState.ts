/** A symbol's state as the page shows it: live, or as it was when the visitor paused. */
import { useState } from "react";
import type { SymbolState, Ticker } from "../../types.ts";
import { useRealtimeTicker } from "../../useRealtimeTicker.ts";
import { pausedAt } from "../settings.ts";
import { useValue } from "../value.ts";

export interface ShownState {
  readonly state: SymbolState;
  /** The newest price that was ever known: still there when there is none any more, to be shown as an old one. */
  readonly lastTicker: Ticker | null;
  readonly isPaused: boolean;
}

export function useShownState(symbol: string): ShownState {
  const now = useRealtimeTicker({ symbol });
  const isPaused = useValue(pausedAt) !== null;
  const [held, setHeld] = useState<SymbolState | null>(null);
  const [lastTicker, setLastTicker] = useState(now.ticker);
  // Set while rendering, so that not even one frame shows the wrong one: React repeats the rendering at once.
  if (isPaused && !held) setHeld(now);
  if (!isPaused && held) setHeld(null);
  const state = isPaused && held ? held : now;
  if (state.ticker && state.ticker !== lastTicker) setLastTicker(state.ticker);
  return { state, lastTicker: state.ticker ?? lastTicker, isPaused };
}
