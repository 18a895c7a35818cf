/** Decides when a price's changed digits light up for a moment. */
import { useEffect, useRef, useState } from "react";
import { firstDifference } from "../../format.ts";
import { pausedAt } from "../settings.ts";
import { useValue } from "../value.ts";

const FLASH_MS = 200;
const SPACING_MS = 500; // each price flashes at most twice a second: WCAG 2.3.1 allows three

export interface Flash {
  readonly id: number;
  /** The index of the first character that changed, in the text at the start of the flash. */
  readonly from: number;
  readonly direction: "up" | "down";
}

/** Return the current flash of a price's text, or null. A flash is hidden while updates are paused. */
export function useFlash(text: string, price: number | null): Flash | null {
  const isPaused = useValue(pausedAt) !== null;
  const shown = useRef({ text, price });
  const startedAt = useRef(Number.NEGATIVE_INFINITY);
  const [flash, setFlash] = useState<Flash | null>(null);

  useEffect(() => {
    const before = shown.current;
    shown.current = { text, price };
    if (before.text === text || before.price === null || price === null) return;
    const now = performance.now();
    if (now - startedAt.current < SPACING_MS) return;
    startedAt.current = now;
    setFlash({ id: now, from: firstDifference(before.text, text), direction: price > before.price ? "up" : "down" });
  }, [text, price]);

  useEffect(() => {
    if (!flash) return;
    const end = setTimeout(() => setFlash(null), FLASH_MS);
    return () => clearTimeout(end);
  }, [flash]);

  return isPaused ? null : flash;
}
