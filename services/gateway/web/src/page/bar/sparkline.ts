/** The points of a symbol's last ten minutes, limited in number, and the SVG path through them. All functions are pure. */

/** A price at a time (Unix milliseconds). */
export interface Point {
  readonly time: number;
  readonly price: number;
}

export const STEP_MS = 10_000;
export const SPAN_MS = 600_000;
/** A longer time without a price is a gap. Shorter ones come from jitter and from a thinned history. */
export const GAP_MS = 3 * STEP_MS;

/**
 * Return the points with a price added: at most one point per step, none older than the span. A price that is older than the
 * newest point or is not a finite number is ignored.
 */
export function extend(points: readonly Point[], time: number, price: number): readonly Point[] {
  const step = Math.floor(time / STEP_MS) * STEP_MS;
  const last = points.at(-1);
  if (!Number.isFinite(price)) return points;
  if (last && (step < last.time || (step === last.time && price === last.price))) return points;
  const kept = points.filter((point) => point.time > step - SPAN_MS && point.time < step);
  return [...kept, { time: step, price }];
}

/**
 * Return an SVG path through the points, in a box whose right edge is the newest point and whose width is the span.
 * Gaps are left open. With fewer than two points there is no line to see.
 */
export function linePath(points: readonly Point[], width: number, height: number): string {
  const end = points.at(-1)?.time ?? 0;
  const prices = points.map((point) => point.price);
  const low = Math.min(...prices);
  const range = Math.max(...prices) - low || 1;
  const isFlat = prices.every((price) => price === low);
  let before = Number.NEGATIVE_INFINITY;
  return points
    .map(({ time, price }) => {
      const x = width * (1 - (end - time) / SPAN_MS);
      const y = isFlat ? height / 2 : height * (1 - (price - low) / range);
      const command = time - before > GAP_MS ? "M" : "L";
      before = time;
      return `${command}${x.toFixed(1)} ${y.toFixed(1)}`;
    })
    .join("");
}
