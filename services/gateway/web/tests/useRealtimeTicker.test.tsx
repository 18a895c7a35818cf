import { act, cleanup, render, renderHook, screen } from "@testing-library/react";
import { StrictMode } from "react";
import { hydrateRoot } from "react-dom/client";
import { renderToString } from "react-dom/server";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { createRealtimeClient } from "../src/client.ts";
import type { RealtimeClient } from "../src/types.ts";
import { RealtimeContext, useRealtimeTicker, useRealtimeTickers, useTickerAge } from "../src/useRealtimeTicker.ts";
import { FakeEventSource, fakeBrowser, pass } from "./fakes.ts";

let client: RealtimeClient;

beforeEach(() => {
  fakeBrowser();
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

const settled = (ms = 20) => act(() => pass(ms));

/** Deliver ticks, and run the frame that shows them. */
async function tick(...ticks: [symbol: string, seq: number][]) {
  if (FakeEventSource.newest.readyState === FakeEventSource.CONNECTING) FakeEventSource.newest.connect();
  for (const one of ticks) FakeEventSource.newest.tick(...one);
  await settled();
}

const renders: Record<string, number> = {};

function Counting({ symbol }: { symbol: string }) {
  renders[symbol] = (renders[symbol] ?? 0) + 1;
  return useRealtimeTicker({ symbol }).ticker?.seq;
}

function Age() {
  return <b data-testid="age">{useTickerAge("BTC")}</b>;
}

/** The component in the documentation. */
function Price({ symbol }: { symbol: string }) {
  const { ticker, isConnected, error } = useRealtimeTicker({ symbol, enabled: true });
  return (
    <div data-testid={symbol}>
      {error && <em>{error.message}</em>}
      {isConnected && <span>🟢 Live</span>}
      <span>{ticker?.price.toFixed(2)}</span>
      <span>{ticker?.changePercent24h.toFixed(2)}%</span>
    </div>
  );
}

test("the documented example: live, then not live and without a price, never an exception", async () => {
  render(<Price symbol="BTC" />, { wrapper });
  expect(screen.getByTestId("BTC").textContent).toBe("%");
  await settled();
  expect(screen.getByTestId("BTC").textContent).toBe("64000.500.16%"); // a price by REST is not live yet
  await tick(["BTC-USDT", 2]);
  expect(screen.getByTestId("BTC").textContent).toBe("🟢 Live64000.500.16%");
  FakeEventSource.newest.tick("BTC-USDT", 3, { quality: "down", price: null, changePercent24h: null });
  await settled();
  expect(screen.getByTestId("BTC").textContent).toBe("%");
});

test("twenty components under Strict Mode make one stream, which ends with the last of them", async () => {
  const page = render(
    Array.from({ length: 20 }, (_, key) => <Price key={String(key)} symbol={key % 2 ? "BTC" : "ETH"} />),
    { wrapper },
  );
  await settled();
  expect(FakeEventSource.sources).toHaveLength(1);
  page.unmount();
  await settled();
  expect(FakeEventSource.open).toHaveLength(0);
});

test("a tick renders only the components of its symbol", async () => {
  render(
    <RealtimeContext value={client}>
      <Counting symbol="BTC" />
      <Counting symbol="ETH" />
    </RealtimeContext>,
  );
  await settled();
  await tick(["BTC-USDT", 2], ["ETH-USDT", 2]);
  const before = { ...renders };
  await tick(["BTC-USDT", 3]);
  expect(renders).toEqual({ ...before, BTC: (before.BTC ?? 0) + 1 });
});

test("a disabled hook is idle, and requests nothing", async () => {
  const { result, rerender } = renderHook(({ enabled }) => useRealtimeTicker({ symbol: "BTC", enabled }), {
    wrapper,
    initialProps: { enabled: false },
  });
  await settled();
  expect(result.current).toMatchObject({ status: "idle", ticker: null, isConnected: false, error: null });
  expect(FakeEventSource.sources).toHaveLength(0);
  rerender({ enabled: true });
  await settled();
  expect(FakeEventSource.open).toHaveLength(1);
  rerender({ enabled: false });
  await settled();
  expect(FakeEventSource.open).toHaveLength(0);
  expect(result.current.status).toBe("idle");
});

test("after a change of symbol its known price shows at once, and never the old symbol's", async () => {
  const { result, rerender } = renderHook(({ symbol }) => useRealtimeTicker({ symbol }), {
    wrapper,
    initialProps: { symbol: "BTC" },
  });
  await settled();
  await tick(["BTC-USDT", 2]);
  expect(result.current.ticker?.symbol).toBe("BTC-USDT");
  rerender({ symbol: "ETH" });
  expect(result.current.ticker).toBeNull();
  await settled();
  await tick(["ETH-USDT", 2]);
  expect(result.current.ticker?.symbol).toBe("ETH-USDT");
  expect(FakeEventSource.newest.symbols).toEqual(["ETH-USDT"]);
});

test("several symbols come under the names that the caller gave", async () => {
  const { result } = renderHook(() => useRealtimeTickers(["btc", "ETH-USDT"]), { wrapper });
  await settled();
  await tick(["BTC-USDT", 2]);
  expect(Object.keys(result.current)).toEqual(["btc", "ETH-USDT"]);
  expect(result.current.btc).toMatchObject({ isConnected: true, ticker: { symbol: "BTC-USDT" } });
  const before = result.current;
  await tick(["ETH-USDT", 2]);
  expect(result.current).not.toBe(before);
  expect(result.current.btc).toBe(before.btc);
});

test("an age grows every second, and renders no other component", async () => {
  render(
    <RealtimeContext value={client}>
      <Counting symbol="BTC" />
      <Age />
    </RealtimeContext>,
  );
  expect(screen.getByTestId("age").textContent).toBe("");
  await settled();
  await tick(["BTC-USDT", 2]);
  const before = renders.BTC;
  await settled(4000);
  expect(screen.getByTestId("age").textContent).toBe("3000");
  expect(renders.BTC).toBe(before);
});

test("a server renders the idle state, and the browser takes over without a mismatch", async () => {
  const said = vi.spyOn(console, "error").mockImplementation(() => {});
  const page = (
    <RealtimeContext value={client}>
      <Price symbol="BTC" />
    </RealtimeContext>
  );
  const html = renderToString(page);
  expect(FakeEventSource.sources).toHaveLength(0);
  const root = document.createElement("div");
  root.innerHTML = html;
  const mounted = await act(async () => hydrateRoot(root, page));
  await settled();
  await tick(["BTC-USDT", 2]);
  expect(root.textContent).toContain("🟢 Live64000.50");
  expect(said).not.toHaveBeenCalled();
  act(() => mounted.unmount());
});
