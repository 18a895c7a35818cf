/** The ranges of time that a chart can show. */
import type { Interval } from "../../useCandles.ts";
import type { Grid } from "./chartData.ts";

export interface Range {
  readonly label: string;
  readonly words: string;
  readonly grid: Grid;
  /** The interval of the candles that the chart draws; null if it draws a price a second. */
  readonly interval: Interval | null;
}

// Of seconds, jitter can miss some. A candle is missing only if nobody knows the price.
export const RANGES = [
  { label: "10 min", words: "10 minutes", interval: null, grid: { stepS: 1, steps: 600, gapSteps: 4 } },
  { label: "24 h", words: "24 hours", interval: "1m", grid: { stepS: 60, steps: 1440, gapSteps: 2 } },
  { label: "30 d", words: "30 days", interval: "1h", grid: { stepS: 3600, steps: 720, gapSteps: 2 } },
  { label: "1 y", words: "year", interval: "1d", grid: { stepS: 86_400, steps: 365, gapSteps: 2 } },
] as const satisfies readonly Range[];

/** The range that a chart shows at first: 24 hours. Its past is known at once, while seconds are kept only once somebody wants them. */
export const FIRST_RANGE = 1;
