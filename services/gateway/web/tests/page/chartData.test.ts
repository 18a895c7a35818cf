import { describe, expect, test } from "vitest";
import { goesOn, lineOf, newRows, type Row, rowsOf, sourceGapSteps, withRow } from "../../src/page/cards/chartData.ts";

describe("a chart's rows", () => {
  const GRID = { stepS: 60, steps: 5, gapSteps: 4 };
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

  const line = (...rows: Row[]) => lineOf(rows, 300, GRID, (one) => one.price, GRID.gapSteps);

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
    ["the next step", row(360, 11, { okx: 1 }), true],
    ["the same step", row(300, 11, { okx: 2 }), true],
    ["a step too many", row(420, 11, { okx: 1 }), true],
    ["after a gap", row(540, 11), false],
    ["without the exchanges", row(360, 11), true],
    ["an exchange is new", row(360, 11, { okx: 1, kraken: 1 }), true],
    ["an exchange came back", row(360, 11, { okx: 1, bybit: 1 }), false],
  ])("%s goes on: %s", (_, next, expected) => {
    const rows = [row(60, 10, { okx: 1, bybit: 1 }), row(120, 10), row(180, 10), row(240, 10, { okx: 1 }), row(300, 10)];
    expect(goesOn(rows, next, GRID)).toBe(expected);
  });

  test("no row goes on where there is none before", () => {
    expect(goesOn([], row(60, 10), GRID)).toBe(false);
  });

  test("of the same step keep the exchanges' prices that the newer one lacks", () => {
    const rows = withRow([row(60, 10, { okx: 1, bybit: 2 })], row(60, 11, { okx: 3 }), GRID);
    expect(rows).toEqual([row(60, 11, { okx: 3, bybit: 2 })]);
  });

  test("make an exchange's line without a break between prices that come every few seconds", () => {
    const seconds = { stepS: 1, steps: 20, gapSteps: 4 };
    const rows = [1, 4, 9, 18].map((time) => row(time, 10, { okx: time }));
    const okx = lineOf(rows, 20, seconds, (one) => one.sources.okx, sourceGapSteps(seconds));
    const known = okx.filter((point) => point.value !== undefined);
    expect(known.map((point) => [point.time, point.isEnd])).toEqual([
      [1, false],
      [4, false],
      [9, true],
      [18, false],
    ]);
    expect(sourceGapSteps(GRID)).toBe(4);
  });
});

describe("the rows that are new", () => {
  const OKX = { okx: 1 };
  const row = (time: number, price: number, sources: Row["sources"] = OKX): Row => ({ time, price, sources });
  const BEFORE = [row(60, 10), row(120, 11), row(180, 12)];

  test.each<[name: string, after: readonly Row[], news: readonly Row[] | null]>([
    ["the newest one changed", [row(60, 10), row(120, 11), row(180, 13)], [row(180, 13)]],
    ["one more", [...BEFORE, row(240, 13)], [row(180, 12), row(240, 13)]],
    ["one more, and the oldest was dropped", [row(120, 11), row(180, 12), row(240, 13)], [row(180, 12), row(240, 13)]],
    ["after a gap", [...BEFORE, row(480, 13)], [row(180, 12), row(480, 13)]],
    ["an older one was corrected", [row(60, 10), row(120, 11.5), row(180, 12)], null],
    ["an exchange's older price came", [row(60, 10, { okx: 2 }), row(120, 11), row(180, 12)], null],
    ["an older one came", [row(0, 9), ...BEFORE], null],
    ["one in a gap came", [row(60, 10), row(90, 10), row(120, 11), row(180, 12)], null],
    ["the newest one is missing", BEFORE.slice(0, 2), null],
    ["none is left", [], null],
  ])("%s", (_, after, news) => {
    expect(newRows(BEFORE, after)).toEqual(news);
  });

  test("are all of them where there were none", () => {
    expect(newRows([], BEFORE)).toBeNull();
  });
});
