import { cleanup, render, renderHook, screen } from "@testing-library/react";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { useCandleRows } from "../../src/page/cards/candles.ts";
import { Candles } from "../../src/page/cards/PriceChart.tsx";
import type { Candle, CandlesState } from "../../src/useCandles.ts";
import { FakeChart } from "./fakeChart.ts";
import { FakeClient } from "./fakeClient.ts";

const HOURS = { stepS: 3600, steps: 720, gapSteps: 2 };
const HOUR_MS = 3_600_000;
const LOADING: CandlesState = { candles: [], status: "loading", problem: null, missed: 0 };
const told = vi.hoisted(() => ({ state: null as unknown, asked: [] as unknown[] }));
vi.mock("../../src/useCandles.ts", () => ({
  useCandles: (...asked: unknown[]) => {
    told.asked = asked;
    return told.state;
  },
}));

let chart: FakeChart;
let client: FakeClient;

beforeEach(() => {
  chart = new FakeChart();
  client = new FakeClient();
  told.state = LOADING;
});

afterEach(cleanup);

const candle = (hour: number, close: number) => ({ start: hour * HOUR_MS, close }) as Candle;

function draw() {
  const hook = renderHook(() => useCandleRows(chart, "BTC", "BTC-USDT", "1h", HOURS), { wrapper: client.wrapper });
  return (...candles: Candle[]) => {
    told.state = { ...LOADING, candles, status: "live" };
    hook.rerender();
  };
}

const drawn = (rows: readonly { time: number; price: number }[]) => rows.map(({ time, price }) => [time / 3600, price]);

test("as many candles as the range has steps are asked for, by the card's name of the symbol", () => {
  draw();
  expect(told.asked).toEqual(["BTC", "1h", { limit: 720 }]);
});

test("the past is drawn at once, and the open candle alone is drawn anew", () => {
  const tell = draw();
  tell(candle(1, 10), candle(2, 11));
  expect(drawn(chart.loaded)).toEqual([
    [1, 10],
    [2, 11],
  ]);
  const { loads } = chart;
  tell(candle(1, 10), candle(2, 12));
  tell(candle(1, 10), candle(2, 12), candle(3, 13));
  expect(drawn(chart.added)).toEqual([
    [2, 12],
    [2, 12],
    [3, 13],
  ]);
  expect(chart.loads).toBe(loads);
});

test("an exchange's line has its price at the end of each minute, as the price's line has", async () => {
  const minutes = { stepS: 60, steps: 1440, gapSteps: 2 };
  vi.stubGlobal("fetch", async (url: string) =>
    Response.json(
      url.startsWith("/api/history")
        ? { times: [60_000, 120_000, 180_000], prices: [1, 2, 3], sources: { okx: [1.5, 2.5, null] } }
        : { tickers: [], missing: [] },
    ),
  );
  const candles = [1, 2, 3].map((minute) => ({ start: minute * 60_000, close: minute + 1 }) as Candle);
  told.state = { ...LOADING, candles, status: "live" };
  renderHook(() => useCandleRows(chart, "BTC", "BTC-USDT", "1m", minutes), { wrapper: client.wrapper });
  await vi.waitFor(() => expect(chart.loads).toBe(2));
  expect(chart.loaded.map(({ sources }) => sources)).toEqual([{ okx: 2.5 }, {}, {}]);
  vi.unstubAllGlobals();
});

test("a correction of a closed candle is drawn", () => {
  const tell = draw();
  tell(candle(1, 10), candle(2, 11), candle(3, 12));
  tell(candle(1, 10), candle(2, 11.5), candle(3, 12));
  expect([drawn(chart.loaded)[1], chart.added]).toEqual([[2, 11.5], []]);
});

test("another range's lines are gone at once, but those of the same range stay until candles are known again", () => {
  chart.load([{ time: 1, price: 1, sources: {} }], 1, { stepS: 1, steps: 600, gapSteps: 4 });
  const tell = draw();
  expect([chart.grid, chart.loaded]).toEqual([HOURS, []]);
  tell(candle(1, 10));
  cleanup(); // the visitor pauses, and goes on
  told.state = LOADING;
  draw();
  expect(drawn(chart.loaded)).toEqual([[1, 10]]);
});

test.each<[CandlesState["status"], CandlesState["problem"], RegExp | null]>([
  ["loading", null, null],
  ["live", null, null],
  ["stale", null, /New candles do not arrive/],
  ["offline", null, /New candles do not arrive/],
  ["unavailable", { code: "no_room", message: "all 50 places are taken" }, /no candles to draw. All 50 places are taken\./],
])("while candles are %s, the chart says so", (status, problem, note) => {
  told.state = { ...LOADING, status, problem };
  render(<Candles chart={chart} name="BTC" symbol="BTC-USDT" interval="1h" grid={HOURS} />, { wrapper: client.wrapper });
  if (note) screen.getByText(note);
  else expect(document.querySelector(".chart-note")).toBeNull();
});
