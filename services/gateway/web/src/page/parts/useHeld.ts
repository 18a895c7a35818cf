/** What the page shows of something that changes: the newest of it, or what it was when the visitor paused. */
import { useState } from "react";
import { pausedAt } from "../settings.ts";
import { useValue } from "../value.ts";

export function useHeld<T>(now: T): T {
  const isPaused = useValue(pausedAt) !== null;
  const [held, setHeld] = useState<{ readonly value: T } | null>(null);
  // Set while rendering, so that not even one frame shows the wrong one: React repeats the rendering at once.
  if (isPaused && !held) setHeld({ value: now });
  if (!isPaused && held) setHeld(null);
  return isPaused && held ? held.value : now;
}
