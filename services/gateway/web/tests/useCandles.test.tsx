import { act, cleanup, render, renderHook } from "@testing-library/react";
import { StrictMode } from "react";
import { hydrateRoot } from "react-dom/client";
import { renderToString } from "react-dom/server";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { createRealtimeClient } from "../src/client.ts";
import type { RealtimeClient } from "../src/types.ts";
import { useCandles } from "../src/useCandles.ts";
import { RealtimeContext, useRealtimeTicker } from "../src/useRealtimeTicker.ts";
import { candle, FakeEventSource, type FakeRest, fakeBrowser, MINUTE_MS, message, pass } from "./fakes.ts";

let client: RealtimeClient;
let rest: FakeRest;

const NOW = Math.floor(1_700_000_000_000 / MINUTE_MS);

beforeEach(() => {
  rest = fakeBrowser();
  rest.answer = (url) => {
    const symbol = url.includes("ETH") ? "ETH-USDT" : "BTC-USDT";
    if (url.includes("/api/ticker")) return { body: { tickers: [message(symbol, 1)], missing: [] } };
    return { body: { symbol, interval: "1m", exchange: null, candles: [candle(NOW - 1, { symbol, close: symbol.length })] } };
  };
  client = createRealtimeClient();
});

afterEach(() => {
  cleanup();
  client.close();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const wrapper = ({ children }: { children: React.ReactNode }) => (
  <StrictMode>
    <RealtimeContext value={client}>{children}</RealtimeContext>
  </StrictMode>
);

const settled = (ms = 40) => act(() => pass(ms));

/** The component in the documentation. */
function Closes({ symbol }: { symbol: string }) {
  const { candles, status, problem } = useCandles(symbol, "1m", { limit: 60 });
  if (!candles.length) return <p>{problem?.message ?? status}</p>;
  return (
    <ol style={{ opacity: status === "live" ? 1 : 0.5 }}>
      {candles.map(({ start, close }) => (
        <li key={start}>{close}</li>
      ))}
    </ol>
  );
}

test("the documented example: loading, then the past, then live, with one stream and one request for two components", async () => {
  const { container } = render([<Closes key="1" symbol="BTC" />, <Closes key="2" symbol="btc" />], { wrapper });
  expect(container.textContent).toBe("loadingloading");
  await settled();
  FakeEventSource.newest.connect();
  await settled();
  expect(container.innerHTML).toBe('<ol style="opacity: 0.5;"><li>8</li></ol>'.repeat(2));
  for (const lastSeq of [7, 8])
    FakeEventSource.newest.say({ type: "candle", data: candle(NOW, { closed: false, close: lastSeq, lastSeq }) });
  await settled();
  expect(container.innerHTML).toBe('<ol style="opacity: 1;"><li>8</li><li>8</li></ol>'.repeat(2));
  expect(FakeEventSource.open).toHaveLength(1);
  expect(rest.asked).toEqual(["/api/candles/BTC?interval=1m&limit=60"]);
});

test("a change of symbol or interval never shows the candles of the one before", async () => {
  const seen: [string, readonly (string | undefined)[]][] = [];
  const { rerender } = renderHook(
    ({ symbol }) => {
      const { candles } = useCandles(symbol, "1m");
      if (candles.length) seen.push([symbol, candles.map((one) => one.symbol)]);
    },
    { wrapper, initialProps: { symbol: "BTC" } },
  );
  await settled();
  FakeEventSource.newest.connect();
  await settled();
  rerender({ symbol: "ETH" });
  await settled();
  FakeEventSource.newest.connect();
  await settled();
  expect(new Set(seen.map(([symbol]) => symbol))).toEqual(new Set(["BTC", "ETH"]));
  for (const [symbol, names] of seen) expect(names).toEqual([`${symbol}-USDT`]);
});

let renders = 0;

function Price() {
  renders += 1;
  return useRealtimeTicker({ symbol: "BTC" }).ticker?.seq;
}

test("prices and candles of a page share one stream, and a candle renders no price", async () => {
  render(
    <RealtimeContext value={client}>
      <Price />
      <Closes symbol="BTC" />
    </RealtimeContext>,
  );
  await settled();
  FakeEventSource.newest.connect();
  FakeEventSource.newest.tick("BTC-USDT", 2);
  await settled();
  const before = renders;
  FakeEventSource.newest.say({ type: "candle", data: candle(NOW, { closed: false }) });
  await settled();
  expect(renders).toBe(before);
  expect(FakeEventSource.open).toHaveLength(1);
});

test("a server renders that candles are loading, and the browser takes over without a mismatch", async () => {
  const said = vi.spyOn(console, "error").mockImplementation(() => {});
  const page = (
    <RealtimeContext value={client}>
      <Closes symbol="BTC" />
    </RealtimeContext>
  );
  vi.stubGlobal("EventSource", undefined);
  const html = renderToString(page);
  expect(html).toBe("<p>loading</p>");
  vi.stubGlobal("EventSource", FakeEventSource);
  const root = document.createElement("div");
  root.innerHTML = html;
  const mounted = await act(async () => hydrateRoot(root, page));
  await settled();
  FakeEventSource.newest.connect();
  await settled();
  expect(root.innerHTML).toContain("<li>8</li>");
  expect(said).not.toHaveBeenCalled();
  act(() => mounted.unmount());
});
