/** Decides when a price's changed digits light up for a moment. */
import { useEffect, useState } from "react";
import { firstDifference } from "../../format.ts";
import { pausedAt } from "../settings.ts";
import { useValue } from "../value.ts";

const LEAST_MS = 200;
const MOST_MS = 300;
const SPACING_MS = 500; // each price flashes at most twice a second: WCAG 2.3.1 allows three

/** A flash of a price's text. It begins with a price, and ends with a later one, so that its end needs no frame of its own. */
export interface Flash {
  /** The index of the first character that changed, in the text at the start of the flash. */
  readonly from: number;
  readonly direction: "up" | "down";
  /** False once it is over because no other price came in time. */
  readonly isLit: boolean;
}

/** A price as it is shown, and when it flashed last. */
interface Shown {
  readonly text: string;
  readonly price: number | null;
  readonly flash: Flash | null;
  readonly flashedAt: number;
}

/** Return the current flash of a price's text, or null. No flash is lit while updates are paused. */
export function useFlash(text: string, price: number | null): Flash | null {
  const isPaused = useValue(pausedAt) !== null;
  const [before, setShown] = useState<Shown>({ text, price, flash: null, flashedAt: Number.NEGATIVE_INFINITY });
  // Computed while rendering, because an effect would need a second frame for each price.
  const shown = before.text === text && before.price === price ? before : shownNext(before, text, price, performance.now());
  if (shown !== before) setShown(shown);
  const { flash } = shown;

  useEffect(() => {
    if (!flash?.isLit) return;
    const end = setTimeout(() => setShown((now) => ({ ...now, flash: { ...flash, isLit: false } })), MOST_MS);
    return () => clearTimeout(end);
  }, [flash]);

  return flash && isPaused ? { ...flash, isLit: false } : flash;
}

/** Return how a price is shown after another one. Pure. */
function shownNext(before: Shown, text: string, price: number | null, now: number): Shown {
  const { flashedAt } = before;
  const flash = before.flash && now - flashedAt < LEAST_MS ? before.flash : null;
  const isChange = before.text !== text && before.price !== null && price !== null;
  if (!isChange || now - flashedAt < SPACING_MS) return { text, price, flash, flashedAt };
  const direction = price > before.price ? "up" : "down";
  return { text, price, flash: { from: firstDifference(before.text, text), direction, isLit: true }, flashedAt: now };
}
