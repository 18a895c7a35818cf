import { act, cleanup, render, screen } from "@testing-library/react";
import { StrictMode } from "react";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Legend } from "../../src/page/cards/Legend.tsx";
import { QualityLine } from "../../src/page/cards/QualityLine.tsx";
import { pausedAt } from "../../src/page/settings.ts";
import { message, unknownSymbols } from "../fakes.ts";
import { FakeClient, source, state } from "./fakeClient.ts";

let asked: string[];
let price: number;

beforeEach(() => {
  vi.useFakeTimers();
  asked = [];
  price = 1000;
  vi.stubGlobal("fetch", async (url: string) => {
    asked.push(url);
    const symbols = new URL(url, "http://here").searchParams.get("symbols")?.split(",") ?? [];
    if (symbols.includes("GONE-USDT")) {
      const { status, body } = unknownSymbols({ "GONE-USDT": [] });
      return new Response(JSON.stringify(body), { status: status ?? 404 });
    }
    if (symbols.includes("NEW-USDT") && asked.length === 1) {
      const body = { code: "listing_unknown", suggestions: { "NEW-USDT": [] } };
      return new Response(JSON.stringify(body), { status: 503 });
    }
    const tickers = symbols.map((symbol) => message(symbol, 1, { sources: [source("okx", { price })] }));
    return new Response(JSON.stringify({ tickers: [...tickers, null, { symbol: "BTC-USDT" }], missing: [] }));
  });
});

afterEach(async () => {
  cleanup();
  act(() => pausedAt.set(null));
  await pass(0);
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const pass = (ms: number) => act(() => vi.advanceTimersByTimeAsync(ms));
const Legends = ({ symbols }: { symbols: string[] }) => (
  <StrictMode>
    {symbols.map((symbol) => (
      <Legend key={symbol} symbol={symbol} dp={2} />
    ))}
  </StrictMode>
);
const shown = () => screen.getAllByRole("listitem").map((item) => item.textContent);

test("the legends of all cards are filled by one request every few seconds, for as long as there are cards", async () => {
  const page = render(<Legends symbols={["BTC-USDT", "ETH-USDT"]} />);
  await pass(0);
  expect(asked).toEqual(["/api/ticker?symbols=BTC-USDT%2CETH-USDT&fields=price,sources"]);
  expect(shown()).toEqual(["OKX 1,000.00", "OKX 1,000.00"]);
  price = 2000;
  await pass(3000);
  expect(asked).toHaveLength(2);
  expect(shown()).toEqual(["OKX 2,000.00", "OKX 2,000.00"]);
  page.rerender(<Legends symbols={["ETH-USDT"]} />);
  await pass(3000);
  expect(asked.at(-1)).toBe("/api/ticker?symbols=ETH-USDT&fields=price,sources");
  page.unmount();
  await pass(20_000);
  expect(asked).toHaveLength(3);
  expect(vi.getTimerCount()).toBe(0);
});

test("a card that is added is filled at once", async () => {
  const page = render(<Legends symbols={["BTC-USDT"]} />);
  await pass(1000);
  page.rerender(<Legends symbols={["BTC-USDT", "SOL-USDT"]} />);
  await pass(0);
  expect(shown()).toHaveLength(2);
});

test("nothing is requested while updates are paused", async () => {
  render(<Legends symbols={["BTC-USDT"]} />);
  await pass(0);
  act(() => pausedAt.set(1));
  await pass(20_000);
  expect(asked).toHaveLength(1);
  expect(shown()).toEqual(["OKX 1,000.00"]);
  act(() => pausedAt.set(null));
  await pass(0);
  expect(asked).toHaveLength(2);
});

test("a symbol that no exchange lists any more keeps no other legend from being filled", async () => {
  render(<Legends symbols={["GONE-USDT", "XRP-USDT"]} />);
  await pass(0);
  await pass(3000);
  expect(asked.at(-1)).toBe("/api/ticker?symbols=XRP-USDT&fields=price,sources");
  expect(shown()).toEqual(["OKX 1,000.00"]);
  cleanup();
  render(<Legends symbols={["GONE-USDT"]} />);
  await pass(20_000);
  expect(asked).toHaveLength(3); // the last one asked once more whether it is listed
});

test("a symbol of which it was not known whether it is listed is requested again", async () => {
  render(<Legends symbols={["NEW-USDT"]} />);
  await pass(0);
  await pass(20_000);
  expect(shown()).toEqual(["OKX 1,000.00"]);
});

test("the sole exchange of a price is named, and requested only then", async () => {
  const quality = (told: "ok" | "single") => <QualityLine symbol="ADA-USDT" state={state("ADA-USDT", told)} isPaused={false} />;
  const page = render(quality("ok"), { wrapper: new FakeClient().wrapper });
  await pass(10_000);
  expect(asked).toEqual([]);
  page.rerender(quality("single"));
  expect(page.container.textContent).toBe("Only one exchange has a fresh price.");
  await pass(0);
  expect(page.container.textContent).toBe("Only OKX has a fresh price.");
});
