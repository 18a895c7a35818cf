import { act, cleanup, render } from "@testing-library/react";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Page } from "../../src/page/Page.tsx";
import { FakeClient, state } from "./fakeClient.ts";

const renders = vi.hoisted(() => ({ tiles: [] as (number | null)[] }));

vi.mock("../../src/page/parts/Price.tsx", () => ({
  Price({ price }: { price: number | null }) {
    renders.tiles.push(price);
    return null;
  },
}));
vi.mock("../../src/page/cards/drawChart.ts", () => ({
  drawChart: () => ({ load() {}, add() {}, setDecimals() {}, setTag() {}, show() {}, recolour() {}, remove() {} }),
}));

beforeEach(() => {
  vi.stubGlobal("fetch", (url: string) =>
    url === "/api/symbols"
      ? Promise.resolve(Response.json({ featured: ["BTC-USDT", "ETH-USDT"], quote: "USDT", symbols: [] }))
      : Promise.reject(new TypeError("no network in this test")),
  );
});

afterEach(() => {
  cleanup();
  vi.unstubAllGlobals();
});

test("a symbol's price renders only that symbol's tile and card", async () => {
  const client = new FakeClient();
  await act(async () => {
    render(<Page />, { wrapper: client.wrapper });
  });
  client.say("BTC", state("BTC-USDT", "ok", { price: 63_000 }));
  client.say("ETH", state("ETH-USDT", "ok", { price: 3000 }));
  renders.tiles = [];
  client.say("BTC", state("BTC-USDT", "ok", { price: 63_001 }));
  expect(renders.tiles).toEqual([63_001, 63_001]);
});
