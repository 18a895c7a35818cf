/**
 * The value to show of something that changes. While updates are paused, it is the value at the pause, or at mounting if the component
 * was mounted later.
 */
import { useState } from "react";
import { pausedAt } from "../settings.ts";
import { useValue } from "../value.ts";

export function useHeld<T>(now: T): T {
  const isPaused = useValue(pausedAt) !== null;
  const [held, setHeld] = useState<{ readonly value: T } | null>(null);
  // State is set during rendering. React then renders again before it paints, so no frame shows the wrong value.
  if (isPaused && !held) setHeld({ value: now });
  if (!isPaused && held) setHeld(null);
  return isPaused && held ? held.value : now;
}
