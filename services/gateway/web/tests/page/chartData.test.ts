import { describe, expect, test } from "vitest";
import { goesOn, lineOf, type Row, rowsOf, withRow } from "../../src/page/cards/chartData.ts";

describe("a chart's rows", () => {
  const GRID = { stepS: 60, steps: 5 };
  const row = (time: number, price: number, sources: Row["sources"] = {}): Row => ({ time, price, sources });

  test("come from a history, without the values that an exchange did not report", () => {
    const history = {
      symbol: "BTC-USDT",
      resolution: "1m" as const,
      stepMs: 60_000,
      times: [60_000, 120_000],
      prices: [10, 11],
      sources: { okx: [9, null] },
    };
    expect(rowsOf(history, GRID)).toEqual([row(60, 10, { okx: 9 }), row(120, 11)]);
  });

  test("stay as many as the grid has steps", () => {
    let rows: readonly Row[] = [];
    for (let time = 0; time < 6000; time += 20) rows = withRow(rows, row(60 * Math.floor(time / 60), time), GRID);
    expect(rows.map((one) => one.time)).toEqual([5700, 5760, 5820, 5880, 5940]);
    expect(rows.at(-1)?.price).toBe(5980);
  });

  const line = (...rows: Row[]) => lineOf(rows, 300, GRID, (one) => one.price);

  test("make a line with a point for each step, over a step or two without one", () => {
    expect(line(row(60, 10), row(240, 12), row(300, 13))).toEqual([
      { time: 60, value: 10, isEnd: false },
      { time: 120 },
      { time: 180 },
      { time: 240, value: 12, isEnd: false },
      { time: 300, value: 13, isEnd: false },
    ]);
  });

  test("make a line that ends where a gap begins", () => {
    expect(line(row(60, 10), row(300, 13)).map((point) => point.isEnd)).toEqual([true, undefined, undefined, undefined, false]);
  });

  test.each([
    ["the next step", row(120, 11, { okx: 1 }), true],
    ["the same step", row(60, 11, { okx: 2 }), true],
    ["after a gap", row(180, 11, { okx: 1 }), false],
    ["an exchange fell silent", row(120, 11), false],
    ["an exchange came back", row(120, 11, { okx: 1, bybit: 1 }), false],
  ])("%s goes on: %s", (_, next, expected) => {
    expect(goesOn(row(60, 10, { okx: 1 }), next, GRID)).toBe(expected);
  });
});
