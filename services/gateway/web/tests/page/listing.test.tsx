import { act, cleanup, fireEvent, render, screen } from "@testing-library/react";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { pass } from "../fakes.ts";
import { FakeClient } from "./fakeClient.ts";

const LISTING = { featured: ["BTC-USDT"], quote: "USDT", symbols: [{ symbol: "BTC-USDT", exchanges: ["okx"] }] };
let answer: () => Promise<Response>;

beforeEach(() => {
  vi.useFakeTimers();
  vi.resetModules(); // the listing module keeps state, which must not reach the next test
  vi.stubGlobal("fetch", (url: string) => (url === "/api/symbols" ? answer() : Promise.reject(new TypeError("not here"))));
});

afterEach(() => {
  cleanup();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const failing = () => Promise.reject(new TypeError("network error"));

async function search(text: string) {
  const { Search } = await import("../../src/page/controls/Search.tsx");
  render(<Search shown={[]} quote="USDT" onChoose={() => {}} />);
  await act(() => pass(1));
  fireEvent.change(screen.getByRole("combobox"), { target: { value: text } });
}

const said = () => document.querySelector(".search-vain")?.textContent;

test.each([
  ["no network", failing],
  ["an error", async () => new Response("{}", { status: 500 })],
  ["something else", async () => Response.json({ hello: "world" })],
  ["no JSON", async () => new Response("<html>")],
])("%s leaves the list of symbols unknown", async (_, response) => {
  answer = response;
  await search("xyz");
  expect(said()).toBe("The list of symbols is not known: the gateway does not answer. Trying again.");
  answer = async () => Response.json(LISTING);
  await act(() => pass(5100));
  expect(said()).toBe("No exchange lists “xyz”.");
});

test("a gateway that lists no symbols does not know them yet", async () => {
  answer = async () => Response.json({ ...LISTING, symbols: [] });
  await search("btc");
  expect(said()).toBe("The list of symbols is not known yet.");
  answer = async () => Response.json(LISTING);
  await act(() => pass(5100));
  expect(screen.getByRole("option").textContent).toContain("BTC");
});

test("the last listing is kept while requests fail, and while a new gateway lists no symbols", async () => {
  answer = async () => Response.json(LISTING);
  await search("btc");
  expect(screen.getByRole("option").textContent).toContain("BTC");
  answer = failing;
  await act(() => pass(61_000));
  expect(screen.getByRole("option").textContent).toContain("BTC");
  fireEvent.change(screen.getByRole("combobox"), { target: { value: "xyz" } });
  expect(said()).toMatch(/^No exchange listed “xyz” when the gateway last answered, before .*\d\d:\d\d:\d\d\.$/);
  answer = async () => Response.json({ ...LISTING, symbols: [] });
  await act(() => pass(6000));
  expect(said()).toBe("No exchange lists “xyz”.");
});

test("the bar shows no count while its symbols are not known", async () => {
  answer = failing;
  const { MarketPulseTicker } = await import("../../src/MarketPulseTicker.tsx");
  const { RealtimeContext } = await import("../../src/useRealtimeTicker.ts");
  render(
    <RealtimeContext value={new FakeClient()}>
      <MarketPulseTicker />
    </RealtimeContext>,
  );
  await act(() => pass(1));
  expect(document.body.textContent).toContain("The gateway does not answer");
  expect(document.body.textContent).not.toMatch(/0\/0/);
});
