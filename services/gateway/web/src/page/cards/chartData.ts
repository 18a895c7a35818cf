/** What a chart draws: a bounded run of rows on a grid of steps. Pure; times are whole seconds, as the chart library counts. */
import type { History } from "../history.ts";

/** All lines at one time. */
export interface Row {
  readonly time: number;
  readonly price: number;
  readonly sources: Readonly<Record<string, number>>;
}

/** A point of a line: where nothing is known, it has no value. `isEnd`: a gap follows, and no line leads over it. */
export interface LinePoint {
  readonly time: number;
  readonly value?: number;
  readonly isEnd?: boolean;
}

/** Steps per range, in seconds and number. */
export interface Grid {
  readonly stepS: number;
  readonly steps: number;
}

/** Return the time of the step that a moment (Unix milliseconds) falls into. */
export function stepTime(timeMs: number, { stepS }: Grid): number {
  return Math.floor(timeMs / 1000 / stepS) * stepS;
}

/** Return a history as rows, the newest of each step. */
export function rowsOf({ times, prices, sources }: History, grid: Grid): readonly Row[] {
  const exchanges = Object.entries(sources);
  const rows = new Map<number, Row>();
  times.forEach((timeMs, index) => {
    const price = prices[index];
    if (price === undefined) return;
    const known = exchanges.flatMap(([exchange, line]) => (line[index] == null ? [] : [[exchange, line[index]] as const]));
    const time = stepTime(timeMs, grid);
    rows.set(time, { time, price, sources: Object.fromEntries(known) });
  });
  return [...rows.values()].slice(-grid.steps);
}

/** Return the rows with one more: it replaces that of its own step, and pushes out what is older than the grid is long. */
export function withRow(rows: readonly Row[], row: Row, { stepS, steps }: Grid): Row[] {
  const last = rows.at(-1);
  if (last && row.time < last.time) return [...rows];
  const oldest = row.time - stepS * (steps - 1);
  const kept = last?.time === row.time ? rows.slice(0, -1) : [...rows];
  while (kept[0] && kept[0].time < oldest) kept.shift();
  return [...kept, row];
}

/** From so many steps on the time between two points is a gap. Less is the rhythm's jitter: a price each second can miss one. */
export const GAP_STEPS = 4;

/** Return one line over the whole grid that ends at `end`, with a point for each step. */
export function lineOf(
  rows: readonly Row[],
  end: number,
  { stepS, steps }: Grid,
  valueIn: (row: Row) => number | undefined,
): readonly LinePoint[] {
  const byTime = new Map(rows.map((row) => [row.time, valueIn(row)]));
  return Array.from({ length: steps }, (_, index) => {
    const time = end - stepS * (steps - 1 - index);
    const value = byTime.get(time);
    if (value === undefined) return { time };
    return { time, value, isEnd: time < end && !nextKnown(time) };
  });

  function nextKnown(time: number): boolean {
    for (let step = 1; step < GAP_STEPS; step++) if (byTime.get(time + step * stepS) !== undefined) return true;
    return false;
  }
}

/** Tell whether a row goes on where another ended: the next step, or the same one again, of the same exchanges. */
export function goesOn(from: Row, to: Row, { stepS }: Grid): boolean {
  const exchanges = (row: Row) => Object.keys(row.sources).sort().join();
  return to.time - from.time <= stepS && exchanges(from) === exchanges(to);
}
