import { cleanup, fireEvent, render, screen } from "@testing-library/react";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { PriceChart } from "../../src/page/cards/PriceChart.tsx";
import type { Candle, CandlesState } from "../../src/useCandles.ts";
import { FakeChart } from "./fakeChart.ts";
import { FakeClient } from "./fakeClient.ts";

const MINUTE_MS = 60_000;
const told = vi.hoisted(() => ({ state: null as unknown, asked: [] as unknown[][], chart: null as unknown }));
vi.mock("../../src/useCandles.ts", () => ({
  useCandles: (...asked: unknown[]) => {
    told.asked.push(asked);
    return told.state;
  },
}));
vi.mock("../../src/page/cards/drawChart.ts", () => ({ drawChart: () => told.chart }));

const chart = new FakeChart();

beforeEach(() => {
  const candles = [1, 2].map((minute) => ({ start: minute * MINUTE_MS, close: minute }) as Candle);
  told.state = { candles, status: "live", problem: null, missed: 0 } satisfies CandlesState;
  told.asked = [];
  told.chart = chart;
  vi.stubGlobal("fetch", async () => new Response("{}", { status: 404 }));
});

afterEach(() => {
  cleanup();
  vi.unstubAllGlobals();
});

const pressed = () => screen.getByRole("button", { pressed: true }).textContent;

test("a chart asks for a day of minutes before its symbol is known in full, and draws them as soon as it is", async () => {
  const { rerender } = render(<PriceChart name="BTC" symbol={null} />, { wrapper: new FakeClient().wrapper });
  expect(told.asked[0]).toEqual(["BTC", "1m", { limit: 1440 }]);
  expect(pressed()).toBe("24 h");
  screen.getByRole("img", { name: "BTC, the last 24 hours" });
  await vi.waitFor(() => expect(chart.recolour).toHaveBeenCalled());
  expect(chart.loads).toBe(0);
  rerender(<PriceChart name="BTC" symbol="BTC-USDT" />);
  await vi.waitFor(() => expect(chart.loaded.map(({ price }) => price)).toEqual([1, 2]));
  screen.getByRole("img", { name: "BTC-USDT, the last 24 hours" });
});

test("the visitor's choice of a range stays while the card is shown", () => {
  const { rerender } = render(<PriceChart name="BTC" symbol={null} />, { wrapper: new FakeClient().wrapper });
  fireEvent.click(screen.getByRole("button", { name: "10 min" }));
  rerender(<PriceChart name="BTC" symbol="BTC-USDT" />);
  expect(pressed()).toBe("10 min");
});
