/**
 * The data that a chart draws: rows on a grid of time steps, limited in number. All functions are pure. Times are Unix time in
 * whole seconds, as the chart library expects them, unless a name ends in `Ms`.
 */
import type { History } from "../history.ts";

/** The values of all lines at one time: the price, and the exchanges' own prices by name, as far as they are known. */
export interface Row {
  readonly time: number;
  readonly price: number;
  readonly sources: Readonly<Record<string, number>>;
}

/** A point of a line. Its value is missing if it is not known. `isEnd`: a gap follows, which the line must not cross. */
export interface LinePoint {
  readonly time: number;
  readonly value?: number;
  readonly isEnd?: boolean;
}

/** The grid of a range: the length of a step in seconds, and the number of steps. */
export interface Grid {
  readonly stepS: number;
  readonly steps: number;
  /** A distance of this many steps between two prices is a gap. Shorter ones are jitter. */
  readonly gapSteps: number;
}

/** Return the time of the step that contains a moment (Unix milliseconds). */
export function stepTime(timeMs: number, { stepS }: Grid): number {
  return Math.floor(timeMs / 1000 / stepS) * stepS;
}

/** Return a history as rows: the newest row of each step, at most as many as the grid has steps. */
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

/**
 * Return the rows with one more. If the last row is of the same step, the new one replaces it, and keeps those exchanges' prices
 * that it does not have itself. Rows older than the grid are dropped. A row that is older than the last one is ignored.
 */
export function withRow(rows: readonly Row[], added: Row, { stepS, steps }: Grid): Row[] {
  const last = rows.at(-1);
  if (last && added.time < last.time) return [...rows];
  const row = last?.time === added.time ? { ...added, sources: { ...last.sources, ...added.sources } } : added;
  const oldest = row.time - stepS * (steps - 1);
  const kept = last?.time === row.time ? rows.slice(0, -1) : [...rows];
  while (kept[0] && kept[0].time < oldest) kept.shift();
  return [...kept, row];
}

/** Return how many steps are a gap in an exchange's line. Its prices come only every few seconds, whatever the grid. */
export function sourceGapSteps({ stepS }: Grid): number {
  return Math.max(4, Math.ceil(8 / stepS));
}

/** Return one line over the whole grid, with a point for each step. The last step is `end`. */
export function lineOf(
  rows: readonly Row[],
  end: number,
  { stepS, steps }: Grid,
  valueIn: (row: Row) => number | undefined,
  gapSteps: number,
): readonly LinePoint[] {
  const byTime = new Map(rows.map((row) => [row.time, valueIn(row)]));
  return Array.from({ length: steps }, (_, index) => {
    const time = end - stepS * (steps - 1 - index);
    const value = byTime.get(time);
    if (value === undefined) return { time };
    return { time, value, isEnd: end - time >= gapSteps * stepS && !nextKnown(time) };
  });

  function nextKnown(time: number): boolean {
    for (let step = 1; step < gapSteps; step++) if (byTime.get(time + step * stepS) !== undefined) return true;
    return false;
  }
}

/** Whether a row continues the lines of these rows: there is no gap before it, in any line that it has a point of. */
export function goesOn(rows: readonly Row[], row: Row, grid: Grid): boolean {
  const isNear = (before: Row | undefined, steps: number) => !before || row.time - before.time < steps * grid.stepS;
  const last = rows.at(-1);
  return (
    last !== undefined &&
    isNear(last, grid.gapSteps) &&
    Object.keys(row.sources).every((exchange) =>
      isNear(
        rows.findLast(({ sources }) => exchange in sources),
        sourceGapSteps(grid),
      ),
    )
  );
}

/**
 * Return the rows that make these rows of those before: at most the newest known one and later ones. Return null if any other row
 * is different, so that all must be drawn.
 */
export function newRows(before: readonly Row[], after: readonly Row[]): readonly Row[] | null {
  const from = before.findIndex(({ time }) => time === after[0]?.time);
  const newest = before.length - 1 - from; // the index of the newest known row among those after
  if (from < 0 || newest >= after.length) return null;
  for (let index = 0; index <= newest; index++) {
    const [old, now] = [before[from + index], after[index]];
    if (old?.time !== now?.time) return null;
    if (index < newest && (old?.price !== now?.price || old?.sources !== now?.sources)) return null;
  }
  return after.slice(newest);
}
