/** A chart that notes what it is told to draw. */
import { vi } from "vitest";
import type { Grid, Row } from "../../src/page/cards/chartData.ts";
import type { DrawnChart } from "../../src/page/cards/drawChart.ts";

/** `loaded` has the rows of the newest `load`, and `added` those that were added since. */
export class FakeChart implements DrawnChart {
  grid: Grid | null = null;
  loaded: readonly Row[] = [];
  added: Row[] = [];
  loads = 0;
  load = (rows: readonly Row[], _: number, grid: Grid) => {
    [this.grid, this.loaded, this.added] = [grid, rows, []];
    this.loads += 1;
  };
  add = (row: Row) => {
    this.added.push(row);
  };
  setDecimals = vi.fn();
  show = vi.fn();
  setTag = vi.fn();
  recolour = vi.fn();
  remove = vi.fn();
}
