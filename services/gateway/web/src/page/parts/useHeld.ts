/** The value to show of something that changes: the newest value or, while updates are paused, the value at the pause. */
import { useState } from "react";
import { pausedAt } from "../settings.ts";
import { useValue } from "../value.ts";

export function useHeld<T>(now: T): T {
  const isPaused = useValue(pausedAt) !== null;
  const [held, setHeld] = useState<{ readonly value: T } | null>(null);
  // State is set while rendering, so that not even one frame shows the wrong value: React renders again at once.
  if (isPaused && !held) setHeld({ value: now });
  if (!isPaused && held) setHeld(null);
  return isPaused && held ? held.value : now;
}
